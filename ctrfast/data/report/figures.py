"""What is counted in a dataset's shards: one pass, a row group at a time, in threads.

Memory does not grow with the rows, but for the hashes of the validation and the test split (`repeats`): per id field
the training rows of its first million ids by label, per numeric field and split a histogram (`quantiles`).

    figures = count_figures(dataset)
    figures.splits["test"].heads["C1"]          # rows: unseen, missing, the 100 most frequent values, all others
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.ahead import in_order
from ctrfast.data.lists import flat_lists
from ctrfast.data.report.quantiles import BINS, Counts, fine_bins
from ctrfast.data.report.repeats import Hashes, RowIndex, list_hashes, row_hashes
from ctrfast.data.shards import ROWS_PER_GROUP, Dataset
from ctrfast.schema import FIRST_ID, LABEL

TOP_VALUES = 100
SLICES = 50
LABELLED_IDS = 1_000_000  # of a field, whose labels are counted one by one; the rarer ones share one count

_HEAD = FIRST_ID + TOP_VALUES  # the place of all other values
_TRAIN = "train"
_KINDS = 4  # of rows: two halves, two labels

Tally = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # places, and how often each occurs


@dataclass(frozen=True)
class SplitFigures:
    """A split. Counts by field are of rows, or of all values of a field of lists.

    slice_rows, slice_positives: (S,) by slice of the row order. heads: (2 + 100 + 1,) by local id, the last all others.
    numbers: (BINS, 2, 2) by fine bin, half (`leakage`) and label; missing values stand in the bin of 0.
    """

    slice_rows: Counts
    slice_positives: Counts
    heads: dict[str, Counts]
    numbers: dict[str, npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class Figures:
    """A dataset.

    labelled: (K, 2, 2) training rows by local id (the last: all others), half and label. repeats: by split.
    """

    splits: dict[str, SplitFigures]
    labelled: dict[str, npt.NDArray[np.uint32]]
    repeats: dict[str, RowIndex]


@dataclass(frozen=True)
class _Group:
    """Rows in shard order. first_row: within the split."""

    first_row: int
    batch: pa.RecordBatch


@dataclass(frozen=True)
class _Counted:
    slices: Tally
    positive_slices: Tally
    heads: dict[str, Counts]
    numbers: dict[str, Tally]
    labelled: dict[str, Tally]
    hashes: Hashes
    found: dict[str, npt.NDArray[np.int64]]


def count_figures(dataset: Dataset) -> Figures:
    """Count all splits, the training split last: the others' hashes must be there by then."""
    schema = dataset.fitted.schema_
    sizes = {name: rows.size for name, rows in zip(schema.id_names, dataset.fitted.id_rows, strict=True)}
    places = {name: min(size, LABELLED_IDS) + 1 for name, size in sizes.items()}
    labelled = {name: np.zeros(count * _KINDS, dtype=np.uint32) for name, count in places.items()}
    repeats = {name: RowIndex(dataset.rows(name)) for name in ("test", "valid")}
    splits = {}
    for split in (*repeats, _TRAIN):
        splits[split] = _empty(dataset, split)
        counter = _Counter(dataset, split, places if split == _TRAIN else {}, repeats if split == _TRAIN else {})
        with closing(in_order(counter.count, _groups(dataset, split))) as counted:
            for found in counted:
                _add(splits[split], found, labelled)
                if split in repeats:
                    repeats[split].add(found.hashes)
                for name, at in found.found.items():
                    repeats[name].mark(at)
        if split in repeats:
            repeats[split].close()
    return Figures(splits, {name: counts.reshape(-1, 2, 2) for name, counts in labelled.items()}, repeats)


@dataclass(frozen=True)
class _Counter:
    """Counts one row group. labelled: how many places each id field has, where labels are counted by id."""

    dataset: Dataset
    split: str
    labelled: Mapping[str, int]
    repeats: Mapping[str, RowIndex]

    def count(self, group: _Group) -> _Counted:
        """Changes nothing: may run in threads."""
        schema = self.dataset.fitted.schema_
        columns: dict[str, npt.NDArray[Any]] = {}  # (R,) each, or (M,) values of lists
        hashed: list[npt.NDArray[Any]] = []
        kinds: dict[str, npt.NDArray[np.int64]] = {}
        label = group.batch.column(LABEL).to_numpy().astype(np.int64)
        kind = np.arange(group.first_row, group.first_row + len(label)) % 2 * 2 + label
        rows, slices = self.dataset.rows(self.split), _slices(self.dataset, self.split)
        at = np.arange(group.first_row, group.first_row + len(label)) * slices // rows
        for name in group.batch.schema.names:
            column = group.batch.column(name)
            if pa.types.is_list(column.type):
                columns[name], counts = flat_lists(column)
                hashed.append(list_hashes(columns[name], counts))
                kinds[name] = np.repeat(kind, counts)
            else:
                columns[name] = column.to_numpy()
                hashed.append(columns[name])
        hashes = row_hashes(hashed)
        for name, rows_of in zip(schema.id_names, self.dataset.fitted.id_rows, strict=True):
            columns[name] = rows_of.folded(columns[name])
        return _Counted(
            slices=_tally(at, slices),
            positive_slices=_tally(at[label == 1], slices),
            heads={
                name: np.bincount(np.minimum(columns[name], _HEAD), minlength=_HEAD + 1) for name in schema.id_names
            },
            numbers={name: _by_kind(fine_bins(columns[name]), kind, BINS) for name in schema.numeric_names},
            labelled={
                name: _by_kind(np.minimum(columns[name], count - 1), kinds.get(name, kind), count)
                for name, count in self.labelled.items()
            },
            hashes=hashes,
            found={name: index.find(hashes) for name, index in self.repeats.items()},
        )


def _groups(dataset: Dataset, split: str) -> Iterator[_Group]:
    schema, row = dataset.fitted.schema_, 0
    names = [LABEL, *schema.numeric_names, *schema.id_names]
    for shard in dataset.shards(split):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(ROWS_PER_GROUP, columns=names):
                yield _Group(row, batch)
                row += batch.num_rows


def _slices(dataset: Dataset, split: str) -> int:
    return min(SLICES, dataset.rows(split))


def _empty(dataset: Dataset, split: str) -> SplitFigures:
    schema, slices = dataset.fitted.schema_, _slices(dataset, split)
    return SplitFigures(
        slice_rows=np.zeros(slices, dtype=np.int64),
        slice_positives=np.zeros(slices, dtype=np.int64),
        heads={name: np.zeros(_HEAD + 1, dtype=np.int64) for name in schema.id_names},
        numbers={name: np.zeros((BINS, 2, 2), dtype=np.uint32) for name in schema.numeric_names},
    )


def _add(split: SplitFigures, found: _Counted, labelled: Mapping[str, npt.NDArray[np.uint32]]) -> None:
    _add_tally(split.slice_rows, found.slices)
    _add_tally(split.slice_positives, found.positive_slices)
    for name, head in found.heads.items():
        split.heads[name][:] += head
    for name, tally in found.numbers.items():
        _add_tally(split.numbers[name].reshape(-1), tally)
    for name, tally in found.labelled.items():
        _add_tally(labelled[name], tally)


def _add_tally(totals: npt.NDArray[Any], tally: Tally) -> None:
    places, counts = tally
    totals[places] += counts.astype(totals.dtype)


def _by_kind(places: npt.NDArray[np.int32], kind: npt.NDArray[np.int64], size: int) -> Tally:
    """Of a row-major (size, 2, 2) array: how often each place, half and label occur together."""
    return _tally(places.astype(np.int64) * _KINDS + kind, size * _KINDS)


def _tally(keys: npt.NDArray[np.int64], size: int) -> Tally:
    """Distinct keys (R,), each below `size`, with their counts."""
    if size > 4 * len(keys):  # sorting the few keys costs less than walking through all places
        places, counts = np.unique(keys, return_counts=True)
        return places, counts
    dense = np.bincount(keys, minlength=size)
    places = np.flatnonzero(dense)
    return places, dense[places]
