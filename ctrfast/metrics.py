"""How well predicted probabilities rank and fit clicks: AUC, PR-AUC, log loss, calibration; all exact.

predictions = Predictions()
predictions.add(labels, logits)                # any number of times, in any order
predictions.merge(other)                       # of another shard or process
predictions.metrics()                          # {"auc": 0.79..., "log_loss": 0.46..., ..., "rows": 100000.0}

`negative_weight` is how many rows each row without a click stands for, where others like it were left out: 1 / rate of
a training split that kept that share. The figures are then those of the log. AUC is the same under any such weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Number = TypeVar("Number", bound=np.floating[Any])


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


def pr_auc(labels: npt.ArrayLike, scores: npt.ArrayLike, negative_weight: float = 1.0) -> float | None:
    """Area under the precision-recall curve as average precision: sum over thresholds of (R_n - R_{n-1}) P_n.

    Args:
        labels: (R,), 0 or 1.
        scores: (R,), any rising function of the probability; equal scores share a threshold.
        negative_weight: of a row without a click.

    Returns:
        A value in [0, 1], or `None` without a click.
    """
    labels, scores = np.asarray(labels) > 0, np.asarray(scores)
    clicks = int(np.count_nonzero(labels))
    if clicks == 0:
        return None
    _, group = np.unique(-scores, return_inverse=True)  # the highest score first
    hits = np.bincount(group, weights=labels)
    precision = np.cumsum(hits) / np.cumsum(np.bincount(group, weights=row_weights(labels, negative_weight)))
    return float(np.sum(hits / clicks * precision))


def normalised_entropy(labels: npt.ArrayLike, logits: npt.ArrayLike, negative_weight: float = 1.0) -> float | None:
    """Log loss over that of always predicting the label rate: below 1 is better than nothing. `None` for one class.

    Source: He et al. 2014, Practical Lessons from Predicting Clicks on Ads at Facebook, Eq. 1.
    """
    rate = label_rate(labels, negative_weight)
    if rate in (0.0, 1.0):
        return None
    return log_loss(labels, logits, negative_weight) / -float(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))


def calibration_ratio(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, negative_weight: float = 1.0
) -> float | None:
    """Predicted over seen clicks: above 1 predicts too many. `None` without a click."""
    clicks = float(np.sum(np.asarray(labels, np.float64)))
    expected = np.sum(np.asarray(probabilities, np.float64) * row_weights(labels, negative_weight))
    return float(expected) / clicks if clicks else None


def expected_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 20, negative_weight: float = 1.0
) -> float:
    """Mean distance of predicted and seen click rate over bins of equal mass.

    Args:
        labels: (R,), 0 or 1.
        probabilities: (R,), in [0, 1].
        bins: of R / bins rows each, in the order of the probabilities.
        negative_weight: of a row without a click; bins then count as much as their rows weigh.
    """
    order = np.argsort(np.asarray(probabilities), kind="stable")
    weights = row_weights(labels, negative_weight)
    distance = ((np.asarray(probabilities, np.float64) - np.asarray(labels, np.float64)) * weights)[order]
    return sum(abs(float(part.sum())) for part in np.array_split(distance, bins)) / float(weights.sum())


def brier_score(labels: npt.ArrayLike, probabilities: npt.ArrayLike, negative_weight: float = 1.0) -> float:
    """Mean squared distance of probability and label."""
    squares = np.square(np.asarray(probabilities, np.float64) - np.asarray(labels, np.float64))
    return float(np.average(squares, weights=row_weights(labels, negative_weight)))


def label_rate(labels: npt.ArrayLike, negative_weight: float = 1.0) -> float:
    """Share of clicks among rows (R,), of which those without one weigh `negative_weight`."""
    return float(np.average(np.asarray(labels, np.float64), weights=row_weights(labels, negative_weight)))


def row_weights(labels: npt.ArrayLike, negative_weight: float) -> npt.NDArray[np.float64]:
    """(R,): 1 for a click, `negative_weight` for any other row."""
    return np.where(np.asarray(labels) > 0, 1.0, negative_weight)


def log_loss(labels: npt.ArrayLike, logits: npt.ArrayLike, negative_weight: float = 1.0) -> float:
    """Mean binary cross-entropy in nats, from logits: it stays exact where a probability rounds to 0 or 1.

    Logits that are no finite numbers give a loss that is none.
    """
    labels, logits = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        losses = np.logaddexp(0.0, logits) - labels * logits
        return float(np.average(losses, weights=row_weights(labels, negative_weight)))


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logits -> probabilities, float64, without overflow; what is no number stays none."""
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


def first_label(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Labels or probabilities (R,), or (R, T) of several labels -> those of the first one, (R,)."""
    first: npt.NDArray[Number] = values if values.ndim == 1 else values[:, 0]
    return first


class Predictions:
    """Labels and logits of the rows seen so far; two of them merge into the same figures as one over all rows.

    negative_weight: how many rows each one without a click stands for. tasks: names of the labels, where there are
    several; rows then have a label and a logit of each, and a label of -1 is unknown.
    """

    def __init__(self, negative_weight: float = 1.0, tasks: Sequence[str] = ()) -> None:
        self.negative_weight = negative_weight
        self.tasks = tuple(tasks)
        self._labels: list[Floats] = []
        self._logits: list[Floats] = []

    def add(self, labels: npt.ArrayLike, logits: npt.ArrayLike) -> None:
        """Take in rows: labels (R,) 0 or 1, logits (R,); or (R, T) of several tasks."""
        self._labels.append(np.asarray(labels, np.float32))
        self._logits.append(np.asarray(logits, np.float32))

    def merge(self, other: Predictions) -> None:
        """Take in the rows of another state."""
        self._labels += other._labels
        self._logits += other._logits

    def stacked(self) -> tuple[Floats, Floats]:
        """Labels and logits of the rows, (R,), or (R, T) of several tasks."""
        none = np.empty((0, len(self.tasks)) if self.tasks else 0, np.float32)
        return np.concatenate([none, *self._labels]), np.concatenate([none, *self._logits])

    def arrays(self) -> tuple[Floats, Floats]:
        """Labels (R,) and logits (R,) of the rows; those of the first task, where there are several."""
        labels, logits = self.stacked()
        return (labels[:, 0], logits[:, 0]) if self.tasks else (labels, logits)

    def logit_ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest logit of the rows, of which there must be some, by task: "" where there is one."""
        lowest = np.min([part.min(axis=0) for part in self._logits], axis=0).reshape(-1).tolist()
        highest = np.max([part.max(axis=0) for part in self._logits], axis=0).reshape(-1).tolist()
        return dict(zip(self.tasks or ("",), zip(lowest, highest, strict=True), strict=True))

    def metrics(self) -> dict[str, float]:
        """All figures by name, with `rows`; those that the labels leave undefined are absent. Empty without rows.

        Of several tasks, the first one's have their plain names; another's are `auc.NAME` and so on, over the rows
        whose label of that name is known.
        """
        figures = _figures(*self.arrays(), self.negative_weight)
        labels, logits = self.stacked()
        for place, name in list(enumerate(self.tasks))[1:]:
            is_known = labels[:, place] >= 0
            of_task = _figures(labels[is_known, place], logits[is_known, place], self.negative_weight)
            figures |= {f"{figure}.{name}": value for figure, value in of_task.items()}
        return figures


def _figures(labels: Floats, logits: Floats, weight: float) -> dict[str, float]:
    if not len(labels):
        return {}
    probabilities = sigmoid(logits)
    figures = {
        "auc": auc(labels, logits),
        "log_loss": log_loss(labels, logits, weight),
        "normalised_entropy": normalised_entropy(labels, logits, weight),
        "pr_auc": pr_auc(labels, logits, weight),
        "calibration_ratio": calibration_ratio(labels, probabilities, weight),
        "ece": expected_calibration_error(labels, probabilities, negative_weight=weight),
        "brier": brier_score(labels, probabilities, weight),
        "rows": float(len(labels)),
    }
    return {name: value for name, value in figures.items() if value is not None}
