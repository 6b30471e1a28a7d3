"""Metrics per value of an id field: for which part of the traffic a network ranks and fits well.

    GAUC = sum_s rows_s AUC_s / sum_s rows_s,   over the segments s that hold clicks and others

It is the AUC without the part that a network earns by telling segments apart.

Source: Zhu et al. 2017, Optimized Cost per Click in Taobao Display Advertising, arXiv:1703.02091 (GAUC).
Differs from the source: any id field instead of the user; weights are impressions; all rows with the unseen id are one
segment, those with the missing id another.

    segments = SegmentPredictions()
    segments.add(labels, logits, ids)              # any number of times; ids are local to the field
    segments.merge(other)                          # of another shard or process
    report = segments.report("C9", lambda id_: "a73ee510")
    report.gauc, report.segments[0].auc
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctrfast.metrics import Floats, auc, calibration_ratio, label_rate, log_loss, normalised_entropy, sigmoid
from ctrfast.schema import MISSING_ID, UNSEEN_ID

OTHER = "<other>"
RESERVED = {UNSEEN_ID: "<unseen>", MISSING_ID: "<missing>"}

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Segment:
    """Figures of the rows with one value; `None` where their labels leave a figure undefined.

    value: as in the raw log, `<unseen>`, `<missing>`, or `<other>` for all values that are not listed.
    id: local to the field; None for `<other>`.
    """

    value: str
    id: int | None
    rows: int
    label_rate: float
    auc: float | None
    log_loss: float
    normalised_entropy: float | None
    calibration_ratio: float | None


@dataclass(frozen=True)
class SegmentReport:
    """segments: the most frequent values, then `<other>`. gauc: over all values, also those under `<other>`.

    values: how many were met. skipped_values, skipped_rows: of those with one class alone, which `gauc` leaves out.
    """

    field: str
    segments: tuple[Segment, ...]
    gauc: float | None
    values: int
    skipped_values: int
    skipped_rows: int


class SegmentPredictions:
    """Labels, logits and ids of one field; two of them merge into the same report as one over all rows.

    negative_weight: how many rows each one without a click stands for, in rates, losses and calibration.
    """

    def __init__(self, negative_weight: float = 1.0) -> None:
        self._weight = negative_weight
        self._labels: list[Floats] = []
        self._logits: list[Floats] = []
        self._ids: list[Ids] = []

    def add(self, labels: npt.ArrayLike, logits: npt.ArrayLike, ids: npt.ArrayLike) -> None:
        """Take in rows: labels (R,) 0 or 1, logits (R,), ids (R,) local to the field."""
        self._labels.append(np.asarray(labels, np.float32))
        self._logits.append(np.asarray(logits, np.float32))
        self._ids.append(np.asarray(ids, np.int32))

    def merge(self, other: SegmentPredictions) -> None:
        """Take in the rows of another state."""
        self._labels += other._labels
        self._logits += other._logits
        self._ids += other._ids

    def report(self, field: str, value_of: Callable[[int], str], *, most: int = 20) -> SegmentReport:
        """Figures of the `most` values with most rows, of the others together, and over all.

        Args:
            field: the id field's name.
            value_of: raw value of a local id that is not reserved.
            most: values to list; of equally frequent ones, those with the lower id.
        """
        if not self._ids:
            return SegmentReport(field, (), None, 0, 0, 0)
        labels, logits = np.concatenate(self._labels), np.concatenate(self._logits)
        values, codes, rows = np.unique(np.concatenate(self._ids), return_inverse=True, return_counts=True)
        areas = auc_by_group(labels, logits, codes, len(values))  # (S,)
        is_defined = ~np.isnan(areas)
        by_rows = np.argsort(-rows, kind="stable")
        segments = []
        for code in by_rows[:most]:
            at, id_ = codes == code, int(values[code])
            value = RESERVED[id_] if id_ in RESERVED else value_of(id_)
            segments.append(_segment(value, id_, labels[at], logits[at], self._weight))
        if len(values) > most:
            at = np.isin(codes, by_rows[most:])
            segments.append(_segment(OTHER, None, labels[at], logits[at], self._weight))
        return SegmentReport(
            field,
            tuple(segments),
            float(np.average(areas[is_defined], weights=rows[is_defined])) if is_defined.any() else None,
            values=len(values),
            skipped_values=int(np.count_nonzero(~is_defined)),
            skipped_rows=int(rows[~is_defined].sum()),
        )


def auc_by_group(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.NDArray[np.integer], count: int
) -> npt.NDArray[np.float64]:
    """`metrics.auc` of each group, in one sort over all rows.

    Args:
        labels: (R,), 0 or 1.
        scores: (R,), any rising function of the probability; ties count one half.
        groups: (R,), 0 .. count - 1.
        count: S, number of groups.

    Returns:
        (S,), NaN where a group has one class alone.
    """
    labels, scores = np.asarray(labels) > 0, np.asarray(scores)
    order = np.lexsort((scores, groups))  # (R,) by group, then by score
    labels, scores, groups = labels[order], scores[order], groups[order]
    rows = np.bincount(groups, minlength=count)
    clicks = np.bincount(groups, weights=labels, minlength=count)
    starts_tie = np.ones(len(groups), bool)
    starts_tie[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    tie = np.cumsum(starts_tie) - 1  # (R,)
    sizes = np.bincount(tie)
    mean_place = (np.cumsum(sizes) - (sizes + 1) / 2.0)[tie]  # (R,) over all rows, from 0
    first_of_group = np.cumsum(rows) - rows
    rank_sums = np.bincount(groups, weights=labels * (mean_place - first_of_group[groups] + 1), minlength=count)
    pairs = clicks * (rows - clicks)
    with np.errstate(invalid="ignore"):
        areas: npt.NDArray[np.float64] = (rank_sums - clicks * (clicks + 1) / 2.0) / pairs  # 0/0 without a pair
    return areas


def _segment(value: str, id_: int | None, labels: Floats, logits: Floats, weight: float) -> Segment:
    return Segment(
        value,
        id_,
        rows=len(labels),
        label_rate=label_rate(labels, weight),
        auc=auc(labels, logits),
        log_loss=log_loss(labels, logits, weight),
        normalised_entropy=normalised_entropy(labels, logits, weight),
        calibration_ratio=calibration_ratio(labels, sigmoid(logits), weight),
    )
