"""How well one field alone tells the label: an AUC near 1 means that it was written after the label was known.

Each training row is scored by the label rate of its value, smoothed, without the row itself:

    s = (positives_v - y + k r) / (rows_v - 1 + k)        r: label rate of all rows, k = 10, y: the row's own label

Without the "without itself" every field in which values seldom repeat would reach an AUC of 1, since its rows would
score themselves. A value that occurs once scores r and says nothing; chance gives 0.5 or less.

    label_auc(rows=np.array([500, 500]), positives=np.array([0, 500]))        # 1.0
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SMOOTHING_ROWS = 10.0
_DIGITS = 6


def label_auc(rows: npt.NDArray[np.int64], positives: npt.NDArray[np.int64]) -> float | None:
    """AUC of a field's values for the label; None where all rows have the same label.

    Args:
        rows: (K,) rows by value.
        positives: (K,) rows with label 1 by value.
    """
    total, clicks = int(rows.sum()), int(positives.sum())
    if clicks in (0, total):
        return None
    prior = SMOOTHING_ROWS * clicks / total
    negatives = rows - positives
    has, lacks = positives > 0, negatives > 0
    of_positive = (positives[has] - 1 + prior) / (rows[has] - 1 + SMOOTHING_ROWS)
    of_negative = (positives[lacks] + prior) / (rows[lacks] - 1 + SMOOTHING_ROWS)
    scores, place = np.unique(np.concatenate([of_positive, of_negative]), return_inverse=True)
    above, below = place[: len(of_positive)], place[len(of_positive) :]
    by_score = np.bincount(above, weights=positives[has], minlength=len(scores))
    against = np.bincount(below, weights=negatives[lacks], minlength=len(scores))
    lower = np.cumsum(against) - against / 2  # negatives with a lower score, and half of those with the same one
    return round(float((by_score * lower).sum() / (clicks * (total - clicks))), _DIGITS)
