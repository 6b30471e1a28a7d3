"""How well predicted probabilities rank and fit clicks: exact AUC and log loss.

predictions = Predictions()
predictions.add(labels, logits)                # any number of times, in any order
predictions.merge(other)                       # of another shard or process
predictions.metrics()                          # {"auc": 0.79..., "log_loss": 0.46..., "rows": 100000.0}
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """Area under the ROC curve, exact: the share of (click, no click) pairs that the scores order rightly.

    Ties count one half. Source: Hanley & McNeil 1982 (the Mann-Whitney U statistic).

    Args:
        labels: (R,), 0 or 1.
        scores: (R,), any rising function of the probability.

    Returns:
        A value in [0, 1], or `None` where all labels are alike and no pair exists.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    clicks = int(np.count_nonzero(labels))
    others = len(labels) - clicks
    if clicks == 0 or others == 0:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes, dtype=np.float64)
    mean_rank = last_rank - (sizes - 1) / 2.0
    rank_sum = float(np.sum(mean_rank[group], where=labels > 0))
    return (rank_sum - clicks * (clicks + 1) / 2.0) / (clicks * others)


def log_loss(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Mean binary cross-entropy in nats, from logits: it stays exact where a probability rounds to 0 or 1.

    Logits that are no finite numbers give a loss that is none.
    """
    labels, logits = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logits -> probabilities, float64, without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


class Predictions:
    """Labels and logits of the rows seen so far; two of them merge into the same figures as one over all rows."""

    def __init__(self) -> None:
        self._labels: list[Floats] = []
        self._logits: list[Floats] = []

    def add(self, labels: npt.ArrayLike, logits: npt.ArrayLike) -> None:
        """Take in rows: labels (R,) 0 or 1, logits (R,)."""
        self._labels.append(np.asarray(labels, np.float32))
        self._logits.append(np.asarray(logits, np.float32))

    def merge(self, other: Predictions) -> None:
        """Take in the rows of another state."""
        self._labels += other._labels
        self._logits += other._logits

    def metrics(self) -> dict[str, float]:
        """`rows`, `log_loss`, and `auc` where both labels occur. Empty without rows."""
        if not self._labels or not sum(map(len, self._labels)):
            return {}
        labels, logits = np.concatenate(self._labels), np.concatenate(self._logits)
        figures = {"rows": float(len(labels)), "log_loss": log_loss(labels, logits)}
        area = auc(labels, logits)
        return figures if area is None else {"auc": area, **figures}
