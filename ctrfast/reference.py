"""What the training rows looked like, field by field, kept with a model so that live traffic can be compared with it.

Bins of an id field: unseen, missing, the 100 values of its table that training rows have most often, all others.
Bins of a numeric field: missing, ten training quantiles.

Counts come from up to 200,000 rows, evenly spaced over the training split. Two things are mended, so that traffic like
the log's does not look like a drift: rows without a click count for those that negative down-sampling left out, and the
share of unseen values, which is too low among the rows that taught the vocabulary, is that of the validation (or else
the test) split. A number that equals the training mean to the bit counts as missing, here as in live traffic.

    reference = reference_of(dataset)
    reference.save(run / REFERENCE)
    places = Bins(reference, fitted).places(ids, numbers)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from ctrfast.data.batches import Batch, batches
from ctrfast.data.shards import Dataset
from ctrfast.data.transforms import missing_input
from ctrfast.errors import ArtifactError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.folders import write_file
from ctrfast.metrics import first_label
from ctrfast.schema import FIRST_ID, MISSING_ID, UNSEEN_ID

REFERENCE = "reference.json"
TOP_VALUES = 100
NUMBER_PARTS = 10
REST = FIRST_ID + TOP_VALUES  # the bin of all other values
ID_BINS = REST + 1
NUMBER_BINS = 1 + NUMBER_PARTS

_PADDING = ID_BINS  # its values are counted in a bin of their own, which nobody reads
_ID_PLACES = ID_BINS + 1
_ROWS = 200_000
_BATCH = 65_536

Counts = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float32]


class Reference(BaseModel):
    """Training rows by bin. counts: (ID_BINS,) or (NUMBER_BINS,) by field.

    top: by table, local ids of the values that have bins of their own, the most frequent first.
    edges: by numeric field, rising, of the quantiles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    top: dict[str, tuple[int, ...]]
    edges: dict[str, tuple[float, ...]]
    counts: dict[str, tuple[int, ...]]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_file(path, self.model_dump_json())

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is missing, or is no reference.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path.name} cannot be read as a model's reference. Export it again.") from error


class Bins:
    """Which bin each value of encoded rows belongs to.

    Args:
        reference: of the model.
        fitted: its schema.

    Raises:
        ArtifactError: the reference is not of this schema.
    """

    def __init__(self, reference: Reference, fitted: FittedSchema) -> None:
        schema = fitted.schema_
        self.names = (*schema.id_names, *schema.numeric_names)
        known = tuple(reference.top), tuple(reference.edges), tuple(reference.counts)
        if known != (schema.table_names, schema.numeric_names, self.names):
            raise ArtifactError(f"{REFERENCE} is not of the model's schema. Export it again.")
        self._bin_of_row = _bins_of_rows(reference, fitted)  # (V,)
        self._offsets = np.asarray(fitted.slot_offsets, np.int32)  # (S,)
        fields = np.repeat(np.arange(len(schema.id_names)), [field.slots for field in schema.id_fields])
        self._first_place = fields * _ID_PLACES  # (S,)
        edges = [
            (*reference.edges[name], *[np.inf] * NUMBER_PARTS)[: NUMBER_PARTS - 1] for name in schema.numeric_names
        ]
        by_field = np.array(edges, np.float32).reshape(len(edges), NUMBER_PARTS - 1)
        self._edges = np.ascontiguousarray(by_field.T)[:, np.newaxis]  # (9, 1, N): sums over the first axis are fast
        absent = [missing_input(field, fitted.statistics[field.name]) for field in schema.numeric_fields]
        self._missing = np.array(absent, np.float32)  # (N,)
        starts = len(schema.id_names) * _ID_PLACES + np.arange(len(edges)) * NUMBER_BINS
        self._first_part = starts + 1  # (N,); the bin before it is that of missing ones
        self.size = len(schema.id_names) * _ID_PLACES + len(edges) * NUMBER_BINS
        self._id_fields = len(schema.id_names)

    def places(self, ids: Ids, numbers: Numbers) -> npt.NDArray[np.intp]:
        """Ids (R, S) local to their tables, numbers (R, N) -> (R, S + N) places among `size` counts."""
        found = np.empty((len(ids), len(self._first_place) + len(self._first_part)), np.intp)
        slots = len(self._first_place)
        np.add(self._bin_of_row.take(ids + self._offsets), self._first_place, out=found[:, :slots])
        passed = np.add.reduce((numbers >= self._edges).view(np.int8), axis=0, dtype=np.int8)  # (R, N)
        np.add(np.where(numbers == self._missing, -1, passed), self._first_part, out=found[:, slots:])
        return found

    def by_field(self, counts: Counts) -> dict[str, Counts]:
        """Counts (size,) by place -> (ID_BINS,) or (NUMBER_BINS,) by field."""
        of_ids, of_numbers = np.split(counts, [self._id_fields * _ID_PLACES])
        rows = [*of_ids.reshape(-1, _ID_PLACES)[:, :ID_BINS], *of_numbers.reshape(-1, NUMBER_BINS)]
        return dict(zip(self.names, rows, strict=True))


def reference_of(dataset: Dataset) -> Reference:
    """The reference of a dataset's training split."""
    fitted, schema = dataset.fitted, dataset.fitted.schema_
    names = (*schema.id_names, *schema.numeric_names)
    train = _sample(dataset, "train")
    empty = Reference(top=_top(train, fitted), edges=_edges(train, fitted), counts=dict.fromkeys(names, ()))
    bins = Bins(empty, fitted)
    counts = _count(bins, train, fitted, np.where(first_label(train.labels) > 0, 1.0, 1 / dataset.negative_rate))
    split = next((split for split in ("valid", "test") if dataset.rows(split)), None)
    if split is not None:
        later = _sample(dataset, split)
        measured = _count(bins, later, fitted, np.ones(len(later)))
        for name in schema.id_names:
            _move_to_unseen(counts[name], measured[name])
    return empty.model_copy(update={"counts": {name: tuple(counts[name].tolist()) for name in names}})


def _top(rows: Batch, fitted: FittedSchema) -> dict[str, tuple[int, ...]]:
    """By table, the local ids that occur most."""
    schema = fitted.schema_
    local = rows.ids - np.asarray(fitted.slot_offsets, np.int32)
    tables = [field.share or field.name for field in schema.id_fields]
    top = {}
    for table, of_table in fitted.tables.items():
        slots = [
            local[:, slots].ravel() for user, slots in zip(tables, schema.field_slots, strict=True) if user == table
        ]
        ids, counts = np.unique(np.concatenate(slots), return_counts=True)
        is_value = (ids >= FIRST_ID) & (ids < of_table.more_unseen)
        ids, counts = ids[is_value], counts[is_value]
        top[table] = tuple(ids[np.argsort(-counts, kind="stable")[:TOP_VALUES]].tolist())
    return top


def _edges(rows: Batch, fitted: FittedSchema) -> dict[str, tuple[float, ...]]:
    """By numeric field, what cuts its values into parts of equal size; fewer edges where values repeat."""
    edges = {}
    for field, values in zip(fitted.schema_.numeric_fields, rows.numbers.T, strict=True):
        present = values[values != missing_input(field, fitted.statistics[field.name])]
        cuts = np.quantile(present, np.arange(1, NUMBER_PARTS) / NUMBER_PARTS) if len(present) else []
        edges[field.name] = tuple(np.unique(np.asarray(cuts, np.float32)).tolist())
    return edges


def _bins_of_rows(reference: Reference, fitted: FittedSchema) -> npt.NDArray[np.uint8]:
    """(V,) bin of each row of the fused table."""
    bins = np.full(fitted.table_rows, REST, np.uint8)
    for (table, rows), start in zip(fitted.tables.items(), fitted.table_starts, strict=True):
        of_table = bins[start : start + rows.size]
        of_table[[UNSEEN_ID, MISSING_ID]] = UNSEEN_ID, MISSING_ID
        of_table[rows.more_unseen : rows.padding] = UNSEEN_ID
        of_table[rows.padding :] = _PADDING
        top = np.array(reference.top[table], np.int64)
        if len(top) > TOP_VALUES or np.any((top < FIRST_ID) | (top >= rows.more_unseen)):
            raise ArtifactError(f"{REFERENCE} names values that the table of {table} does not hold. Export it again.")
        of_table[top] = FIRST_ID + np.arange(len(top))
    return bins


def _sample(dataset: Dataset, split: str) -> Batch:
    """Rows of a split, evenly spaced."""
    step = -(-dataset.rows(split) // _ROWS)
    parts, first = [], 0
    for batch in batches(dataset, split, _BATCH):
        rows = slice(first, None, step)
        parts.append(Batch(batch.ids[rows].copy(), batch.numbers[rows].copy(), batch.labels[rows].copy()))
        first = (first - len(batch)) % step
    ids, numbers, labels = zip(*((part.ids, part.numbers, part.labels) for part in parts), strict=True)
    return Batch(np.concatenate(ids), np.concatenate(numbers), np.concatenate(labels))


def _count(bins: Bins, rows: Batch, fitted: FittedSchema, weights: npt.NDArray[np.float64]) -> dict[str, Counts]:
    places = bins.places(rows.ids - np.asarray(fitted.slot_offsets, np.int32), rows.numbers)
    counts = np.bincount(places.ravel(), np.repeat(weights, places.shape[1]), minlength=bins.size)
    return bins.by_field(np.rint(counts).astype(np.int64))


def _move_to_unseen(counts: Counts, measured: Counts) -> None:
    """Give training counts the share of unseen values of later rows; all others' bin gives or takes the difference."""
    wanted = round(int(counts.sum()) * int(measured[UNSEEN_ID]) / max(int(measured.sum()), 1))
    moved = min(wanted - int(counts[UNSEEN_ID]), int(counts[REST]))
    counts[UNSEEN_ID] += moved
    counts[REST] -= moved
