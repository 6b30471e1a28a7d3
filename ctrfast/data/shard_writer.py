"""Columns of a dataset's rows -> parquet shards per split, and the manifest that seals them.

Which rows a shard holds follows from the splits alone, so shards are written side by side, in any order, and one that
is there already is kept.

    columns = ColumnFiles(folder / "columns", column_types(schema))       # label, numbers, ids, and the splits
    plan = plan_shards(columns, rows)
    for shard in plan.shards: write_shard(columns, plan, shard, dataset)
    seal_dataset(dataset, fitted, plan, ...)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.cells import to_arrow
from ctrfast.data.columns import ColumnFiles
from ctrfast.data.encode import SCHEMA_FILE, VOCABULARY_FOLDER
from ctrfast.data.manifest import FORMAT, KIND, TimelinePoint
from ctrfast.data.shards import ROWS_PER_GROUP, ROWS_PER_SHARD
from ctrfast.fitted_schema import FittedSchema
from ctrfast.folders import file_hash, new_file, remove_partials, write_manifest
from ctrfast.schema import LABEL, SPLITS, Schema

SPLIT_COLUMN = "/split"  # no field can have this name


def column_types(schema: Schema) -> dict[str, npt.DTypeLike]:
    """The columns of a dataset, in order, and of each row's split."""
    numbers = dict.fromkeys(schema.numeric_names, np.float32)
    ids = dict.fromkeys(schema.id_names, np.int32)
    return {**dict.fromkeys(schema.label_columns, np.int8), **numbers, **ids, SPLIT_COLUMN: np.int8}


@dataclass(frozen=True)
class ShardPlan:
    """Which rows go where.

    counts: (steps, splits) rows of each split among each `ROWS_PER_GROUP` rows. positives: per split, labels 1.
    dropped: rows whose index is beyond the splits, which no shard takes.
    known: per label of several and split, rows where it is 0 or 1, and where it is 1: (T, splits, 2).
    """

    counts: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    dropped: int
    known: npt.NDArray[np.int64]

    @property
    def rows(self) -> dict[str, int]:
        """Rows per split."""
        return dict(zip(SPLITS, self.counts.sum(axis=0).tolist(), strict=True))

    @property
    def shards(self) -> list[tuple[str, int]]:
        """(split, index) of all shards."""
        return [(split, index) for split, rows in self.rows.items() for index in range(-(-rows // ROWS_PER_SHARD))]

    def rows_of(self, split: str, index: int) -> int:
        """Rows of a shard."""
        return min(ROWS_PER_SHARD, self.rows[split] - index * ROWS_PER_SHARD)


def plan_shards(columns: ColumnFiles, rows: int, labels: Sequence[str] = (LABEL,)) -> ShardPlan:
    """Count labels and splits of all rows. labels: their columns."""
    counts = []
    known = np.zeros((len(labels), len(SPLITS), 2), np.int64)
    for first in range(0, rows, ROWS_PER_GROUP):
        splits = columns.read(SPLIT_COLUMN, first, ROWS_PER_GROUP)
        counts.append(np.bincount(splits, minlength=len(SPLITS))[: len(SPLITS)])
        for place, column in enumerate(labels):
            label = columns.read(column, first, len(splits))
            for what, is_counted in enumerate((label >= 0, label == 1)):
                known[place, :, what] += np.bincount(splits[is_counted], minlength=len(SPLITS))[: len(SPLITS)]
    table = np.array(counts, np.int64).reshape(-1, len(SPLITS))
    return ShardPlan(table, known[0, :, 1], dropped=rows - int(table.sum()), known=known)


def shard_name(split: str, index: int) -> str:
    """A shard's file, relative to the dataset."""
    return f"{split}/part-{index:05}.parquet"


def write_shard(columns: ColumnFiles, plan: ShardPlan, shard: tuple[str, int], folder: Path) -> int:
    """Write a shard, unless it is there; return its rows."""
    split, index = shard
    file = folder / shard_name(split, index)
    rows = plan.rows_of(split, index)
    if file.is_file():
        return rows
    kinds = {name: pa.from_numpy_dtype(kind) for name, kind in columns.types.items() if name != SPLIT_COLUMN}
    types = [pa.field(name, pa.list_(kind) if name in columns.lists else kind) for name, kind in kinds.items()]
    # Numbers repeat; to look for repeated ids takes a third of the writing time, and saves a tenth of the bytes.
    repeated = [name for name, kind in columns.types.items() if kind != np.int32 and name != SPLIT_COLUMN]
    options = {"compression": "lz4", "use_dictionary": repeated, "write_statistics": False}
    with new_file(file) as partial, pq.ParquetWriter(partial, pa.schema(types), **options) as writer:
        for group in _groups(columns, plan, split, index * ROWS_PER_SHARD, rows):
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)
    return rows


def _groups(columns: ColumnFiles, plan: ShardPlan, split: str, first: int, rows: int) -> Iterator[pa.Table]:
    """Row groups that hold the rows from `first` on of a split."""
    wanted = SPLITS.index(split)
    before = np.concatenate(([0], np.cumsum(plan.counts[:, wanted])))  # rows of the split before each step
    names = [name for name in columns.types if name != SPLIT_COLUMN]
    step = int(np.searchsorted(before, first, side="right")) - 1
    pending: list[list[Any]] = []
    while rows:
        group, taken = min(ROWS_PER_GROUP, rows), 0
        pending = [[] for _ in names]
        while taken < group:
            start = step * ROWS_PER_GROUP
            splits = columns.read(SPLIT_COLUMN, start, ROWS_PER_GROUP)
            places = np.flatnonzero(splits == wanted)[first - before[step] :][: group - taken]
            is_run = len(places) and places[-1] - places[0] + 1 == len(places)
            for name, parts in zip(names, pending, strict=True):
                if name in columns.lists:
                    parts.append(columns.read_lists(name, start, ROWS_PER_GROUP).take(to_arrow(places)))
                elif is_run:
                    parts.append(columns.read(name, start + int(places[0]), len(places)))
                else:
                    parts.append(columns.read(name, start, ROWS_PER_GROUP)[places])
            taken, first = taken + len(places), first + len(places)
            if first >= before[step + 1]:
                step += 1
        yield pa.table(
            {
                name: pa.concat_arrays(parts) if name in columns.lists else to_arrow(np.concatenate(parts))
                for name, parts in zip(names, pending, strict=True)
            }
        )
        rows -= group


def seal_dataset(
    folder: Path,
    fitted: FittedSchema,
    plan: ShardPlan,
    *,
    preparation: Mapping[str, Any],
    rejected: Mapping[str, int],
    missing_numbers: Mapping[str, Sequence[int]],
    timeline: Sequence[TimelinePoint] = (),
) -> None:
    """Write schema and manifest beside shards and vocabularies.

    Args:
        folder: of the dataset; the caller makes it visible.
        fitted: schema and what was learned.
        plan: of its shards.
        preparation: the settings that lead from the raw files to this dataset.
        rejected: rows per reason.
        missing_numbers: per numeric field and split, values that were missing; a shard holds the mean for them.
        timeline: rows over time, where the raw files tell it.
    """
    for part in (folder, folder / VOCABULARY_FOLDER, *(folder / split for split in SPLITS)):
        remove_partials(part)  # of an earlier process, which was killed
    (folder / SCHEMA_FILE).write_text(fitted.to_json(), encoding="utf-8")
    splits: dict[str, dict[str, Any]] = {}
    for place, (split, rows) in enumerate(plan.rows.items()):
        (folder / split).mkdir(exist_ok=True)
        positives = int(plan.positives[place])
        names = [(shard_name(name, index), plan.rows_of(name, index)) for name, index in plan.shards if name == split]
        splits[split] = {
            "rows": rows,
            "positives": positives,
            "label_rate": positives / rows if rows else 0.0,
            "shards": [{"file": name, "rows": held, "sha256": file_hash(folder / name)} for name, held in names],
            "missing_numbers": {name: counts[place] for name, counts in missing_numbers.items()},
        }
        if tasks := fitted.schema_.tasks:
            counted = plan.known[:, place].tolist()
            splits[split]["labels"] = {
                name: {"rows": known, "positives": ones} for name, (known, ones) in zip(tasks, counted, strict=True)
            }
    content = {
        "kind": KIND,
        "format": FORMAT,
        "schema": fitted.schema_.model_dump(mode="json"),
        "fitted_hash": fitted.hash,
        "vocabulary": {"hash": fitted.vocabulary_hash, "sizes": dict(fitted.vocabulary_sizes)},
        "splits": splits,
        "rejected": {"rows": sum(rejected.values()), "reasons": dict(sorted(rejected.items()))},
        "preparation": dict(preparation),
        "dropped": plan.dropped,
        "timeline": [point.model_dump() for point in timeline],
    }
    write_manifest(folder, content)
