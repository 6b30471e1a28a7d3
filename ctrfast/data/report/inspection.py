"""From counts to the report: shares, drift, sizes, and what to warn of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ctrfast.data.field_ids import FieldIds
from ctrfast.data.report import drift
from ctrfast.data.report.contents import (
    DataReport,
    IdFieldReport,
    LargestField,
    NumericFieldReport,
    RateSlice,
    Repeats,
)
from ctrfast.data.report.figures import TOP_VALUES, Figures, SplitFigures, count_figures
from ctrfast.data.report.leakage import label_auc
from ctrfast.data.report.quantiles import Counts, fine_bins, quantile_parts
from ctrfast.data.report.repeats import RowIndex
from ctrfast.data.report.warnings import find_warnings
from ctrfast.data.shards import Dataset
from ctrfast.data.transforms import missing_input
from ctrfast.data.unseen import min_count_of, unseen_expected
from ctrfast.schema import FIRST_ID, MISSING_ID, SPLITS, UNSEEN_ID, NumericField

_BYTES_PER_WEIGHT = 4  # float32
_STATES = 3  # a weight and Adam's two moments
_RANKS = 200
_LARGEST = 10
_LATER = ("valid", "test")
_LABEL_PARTS = 100  # quantiles of a numeric field whose label rates are looked at


def inspect_dataset(dataset: Dataset, *, embedding_dim: int = 10) -> DataReport:
    """Count what the shards hold and say what it means.

    Args:
        dataset: an opened dataset.
        embedding_dim: D, for the sizes of the table.
    """
    figures = count_figures(dataset)
    return _Inspection(dataset, figures, embedding_dim).report()


@dataclass(frozen=True)
class _Inspection:
    dataset: Dataset
    figures: Figures
    embedding_dim: int

    def report(self) -> DataReport:
        dataset, fitted = self.dataset, self.dataset.fitted
        table_bytes = self._bytes(fitted.table_rows)
        id_fields = tuple(self._id_field(*named) for named in dataset.encoder().field_ids.items())
        largest = sorted(id_fields, key=lambda field: -field.table_rows)[:_LARGEST]
        report = DataReport(
            dataset_hash=dataset.hash,
            schema_name=fitted.schema_.name,
            rows={split: dataset.rows(split) for split in SPLITS},
            label_rate={split: dataset.label_rate(split) for split in SPLITS},
            label_rates={split: dataset.label_rates(split) for split in SPLITS} if fitted.schema_.tasks else {},
            rejected=dict(dataset.manifest.rejected.reasons),
            label_slices={split: _slices(self.figures.splits[split]) for split in SPLITS},
            timeline=dataset.manifest.timeline,
            negative_rate=dataset.negative_rate,
            id_fields=id_fields,
            numeric_fields=tuple(self._numeric_field(field) for field in fitted.schema_.numeric_fields),
            table_rows=fitted.table_rows,
            embedding_dim=self.embedding_dim,
            table_bytes=table_bytes,
            training_bytes=table_bytes * _STATES,
            dataset_bytes=sum(entry.bytes for entry in dataset.manifest.files.values()),
            largest_fields=tuple(
                LargestField(
                    name=field.name,
                    rows=field.table_rows,
                    bytes=field.table_bytes,
                    share=field.table_bytes / table_bytes,
                )
                for field in largest
            ),
            repeated={split: _repeats(self.figures.repeats[split]) for split in _LATER},
        )
        return report.model_copy(update={"warnings": find_warnings(report)})

    def _id_field(self, name: str, field_ids: FieldIds) -> IdFieldReport:
        dataset, field, vocabulary = self.dataset, field_ids.field, field_ids.vocabulary
        heads = {split: self.figures.splits[split].heads[name] for split in SPLITS}
        train, totals = heads["train"], {split: int(head.sum()) for split, head in heads.items()}
        rows = totals["train"]  # or values, where the field has lists
        counts = vocabulary.counts.to_numpy(zero_copy_only=False)
        rare_rows, rare_among_others, top_value = 0, 0, None
        is_shared = len(dataset.fitted.schema_.users_of(field.name)) > 1
        of_ids = self.figures.labelled[name].sum(axis=(1, 2), dtype=np.int64)[FIRST_ID:-1]
        if field.hash_buckets is not None:  # no bucket is unseen; figures are of those that hold training rows
            counts = np.sort(of_ids[of_ids > 0])[::-1]
        elif is_shared:  # the vocabulary counts all its fields: figures are of this one's values
            own = of_ids[: len(vocabulary)]
            counts = np.sort(own[own > 0])[::-1]
            top_value = field_ids.value_of(FIRST_ID + int(own.argmax())) if len(counts) else None
        else:
            is_rarest = counts == min_count_of(dataset, field)
            rare_rows = int(counts[is_rarest].sum())
            # The rows that are moved must come from "all others": of a value among the first 100 the bin is its own.
            rare_among_others = int(counts[TOP_VALUES:][is_rarest[TOP_VALUES:]].sum())
            top_value = str(vocabulary.values[0]) if len(vocabulary) else None
        expected = drift.with_expected_unseen(train, rare_among_others)
        size = self._own_rows(name)
        return IdFieldReport(
            name=name,
            values=len(counts),
            table_rows=size,
            table_bytes=self._bytes(size),
            training_bytes=self._bytes(size) * _STATES,
            top_value=top_value,
            top_share=_share(counts[:1].sum(), rows),
            top10_share=_share(counts[:10].sum(), rows),
            top100_share=_share(counts[:TOP_VALUES].sum(), rows),
            missing_share={split: _share(heads[split][MISSING_ID], totals[split]) for split in SPLITS},
            unseen_share={split: _share(heads[split][UNSEEN_ID], totals[split]) for split in SPLITS},
            unseen_expected=unseen_expected(int(train[UNSEEN_ID]), rare_rows, rows),
            label_auc=label_auc(self.figures.labelled[name].astype(np.int64)),
            psi=self._drift(drift.psi, expected, heads),
            psi_chance=self._drift(drift.psi_by_chance, expected, heads),
            frequencies=_frequencies(counts),
        )

    def _own_rows(self, name: str) -> int:
        """Rows of a field's table, 0 where it is another field's."""
        rows = self.dataset.fitted.tables.get(name)
        return 0 if rows is None else rows.size

    def _numeric_field(self, field: NumericField) -> NumericFieldReport:
        dataset, name = self.dataset, field.name
        missing = {split: dataset.split(split).missing_numbers[name] for split in SPLITS}
        labelled = {split: self.figures.splits[split].numbers[name].astype(np.int64) for split in SPLITS}
        histograms = {split: counts.sum(axis=(1, 2)) for split, counts in labelled.items()}  # (BINS,)
        statistics = dataset.fitted.statistics[name]
        absent = int(fine_bins(np.array([missing_input(field, statistics)]))[0])  # where missing values stand
        present = drift.without_missing(histograms["train"], missing["train"], absent)
        part = quantile_parts(present, drift.NUMBER_PARTS)
        binned = {split: drift.number_counts(histograms[split], missing[split], part, absent) for split in SPLITS}
        label_part = quantile_parts(histograms["train"], _LABEL_PARTS)
        return NumericFieldReport(
            name=name,
            transform=field.transform,
            mean=statistics.mean,
            std=statistics.std,
            # The deviation of a constant is set to 1, and all of it lies in one bin.
            constant=statistics.std == 1.0 and int(histograms["train"][absent]) == dataset.rows("train"),
            missing_share={split: _share(missing[split], dataset.rows(split)) for split in SPLITS},
            label_auc=label_auc(_summed(labelled["train"], label_part)),
            psi=self._drift(drift.psi, binned["train"], binned),
            psi_chance=self._drift(drift.psi_by_chance, binned["train"], binned),
        )

    def _drift(self, measure: drift.Measure, expected: Counts, counts: Mapping[str, Counts]) -> dict[str, float]:
        return {split: measure(expected, counts[split]) for split in _LATER if self.dataset.rows(split)}

    def _bytes(self, rows: int) -> int:
        return rows * (self.embedding_dim + 1) * _BYTES_PER_WEIGHT


def _slices(split: SplitFigures) -> tuple[RateSlice, ...]:
    rows, positives = split.slice_rows.tolist(), split.slice_positives.tolist()
    first = [0, *np.cumsum(split.slice_rows).tolist()]
    return tuple(
        RateSlice(first_row=start, rows=count, positives=clicks)
        for start, count, clicks in zip(first, rows, positives, strict=False)
    )


def _repeats(index: RowIndex) -> Repeats:
    found = index.found()
    return Repeats(checked=index.checked, rows=found, share=_share(found, index.checked), capped=index.capped)


def _frequencies(counts: Counts) -> tuple[tuple[int, int], ...]:
    """(rank, occurrences) at up to 200 log-spaced ranks, first and last included. counts: (K,) falling."""
    if not len(counts):
        return ()
    ranks = np.unique(np.rint(np.geomspace(1, len(counts), _RANKS)).astype(np.int64))
    return tuple(zip(ranks.tolist(), counts[ranks - 1].tolist(), strict=True))


def _summed(counts: Counts, part: Counts) -> Counts:
    """(BINS, 2, 2) -> (_LABEL_PARTS, 2, 2), by the part of each bin."""
    summed = np.zeros((_LABEL_PARTS, *counts.shape[1:]), dtype=np.int64)
    np.add.at(summed, part, counts)
    return summed


def _share(count: int | np.int64, rows: int) -> float:
    return int(count) / rows if rows else 0.0
