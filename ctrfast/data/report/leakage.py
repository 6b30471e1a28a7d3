"""How well one field alone tells the label: an AUC near 1 means that it was written after the label was known.

The training rows are halved by their place (even, odd). The rows of one half are scored by the label rate that their
value has in the other half, smoothed:

    s_v = (positives_v + k r) / (rows_v + k)        r: label rate of all rows of that half, k = 10

and the AUC is the mean of both directions. Rates of the rows themselves would not do: where values seldom repeat, each
row would be scored by its own label. A value that the other half lacks scores r and says nothing; a field without any
relation to the label gets 0.5.

    label_auc(np.array([[[250, 0], [250, 0]], [[0, 250], [0, 250]]]))       # 1.0: two values, by half and label
"""

from __future__ import annotations

import numpy as np

from ctrfast.data.report.quantiles import Counts

SMOOTHING_ROWS = 10.0
_DIGITS = 6


def label_auc(counts: Counts) -> float | None:
    """AUC of a field's values for the label; None where all rows of each half have the same label.

    Args:
        counts: (K, 2, 2) rows by value, half and label.
    """
    counts = counts[counts.any(axis=(1, 2))]
    both = (_auc(known=counts[:, 1 - half], asked=counts[:, half]) for half in (0, 1))
    found = [auc for auc in both if auc is not None]
    return round(sum(found) / len(found), _DIGITS) if found else None


def _auc(known: Counts, asked: Counts) -> float | None:
    """known, asked: (K, 2) rows by value and label."""
    rows, (negatives, positives) = int(known.sum()), asked.sum(axis=0).tolist()
    if not rows or not negatives or not positives:
        return None
    prior = SMOOTHING_ROWS * int(known[:, 1].sum()) / rows
    scores = (known[:, 1] + prior) / (known.sum(axis=1) + SMOOTHING_ROWS)  # (K,)
    distinct, place = np.unique(scores, return_inverse=True)
    lose, win = (np.bincount(place, weights=asked[:, label], minlength=len(distinct)) for label in (0, 1))
    below = np.cumsum(lose) - lose / 2  # negatives with a lower score, and half of those with the same one
    return float((win * below).sum() / (positives * negatives))
