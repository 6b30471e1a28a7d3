"""A dataset's files against its manifest, without reading them: sizes, and the parquet footers.

Compares names, sizes, columns with their types, and counts of rows; sha256 is for `Dataset.open`, which reads each
byte. Footers are read of at most 64 shards per split, evenly spaced, and again only once the file has changed: a
service looks at the same dataset with every job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.encode import VOCABULARY_FOLDER
from ctrfast.data.manifest import Shard
from ctrfast.data.shards import Dataset
from ctrfast.errors import DataError
from ctrfast.file_stamps import Stamp, file_stamp
from ctrfast.preflight.findings import DATASET
from ctrfast.schema import SPLITS

_MOST_SHARDS = 64
_FOOTERS_KEPT = 4096

Item = TypeVar("Item")


@dataclass(frozen=True)
class RowGroups:
    """Of the training shards that were looked at. count: of row groups. largest: rows of one."""

    count: int
    rows: int
    largest: int


@dataclass(frozen=True)
class _Footer:
    """Of one parquet file. groups: rows of each row group."""

    columns: pa.Schema
    rows: int
    groups: tuple[int, ...]


def check_files(dataset: Dataset) -> None:
    """Refuse a dataset whose files are not as its manifest says.

    Raises:
        DataError: a file is missing or has another size; or a vocabulary is not the schema's. The first one is named.
    """
    for name, entry in dataset.manifest.files.items():
        path = dataset.path / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry.bytes:
            got = "Got no such file" if size is None else f"Got {size:,}"
            problem = f"{name} must have the manifest's {entry.bytes:,} bytes. {got}. Prepare the dataset again."
            raise DataError(problem, path=DATASET)
    fitted, noted = dataset.fitted, dataset.manifest.vocabulary
    if (fitted.vocabulary_hash, dict(fitted.vocabulary_sizes)) != (noted.hash, noted.sizes):
        raise DataError(
            "The vocabulary's hash and sizes must be alike in manifest and schema. Prepare the dataset again.",
            path=DATASET,
        )
    for field, size in fitted.vocabulary_sizes.items():
        file = f"{VOCABULARY_FOLDER}/{field}.parquet"
        found = _footer(dataset, file).rows
        if found != size:
            raise DataError(
                f"{file} must hold the {size:,} values of {field}. Got {found:,}. Prepare the dataset again.",
                path=f"{DATASET}.{field}",
            )


def check_shards(dataset: Dataset) -> RowGroups:
    """Refuse shards that do not hold the schema's columns; tell the row groups of the training split.

    Raises:
        DataError: a column is missing or has another type, which names the field; or a shard has other rows.
    """
    groups: list[int] = []
    for split in SPLITS:
        for shard in spaced(dataset.split(split).shards, _MOST_SHARDS):
            footer = _footer(dataset, shard.file)
            _check_columns(dataset, shard, footer)
            if footer.rows != shard.rows:
                raise DataError(
                    f"{shard.file} must have the manifest's {shard.rows:,} rows. Got {footer.rows:,}. "
                    "Prepare the dataset again.",
                    path=DATASET,
                )
            if split == "train":
                groups += footer.groups
    return RowGroups(len(groups), sum(groups), max(groups, default=0))


def spaced(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, evenly spaced, the first and the last among them."""
    places = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))
    return [items[place] for place in places]


def read_error(file: str, error: Exception) -> DataError:
    """The error for a parquet file that cannot be read."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return DataError(f"{file} cannot be read as parquet: {reason}. Prepare the dataset again.", path=DATASET)


def _check_columns(dataset: Dataset, shard: Shard, footer: _Footer) -> None:
    columns = footer.columns
    for name, kind in _columns(dataset):
        got = columns.field(name).type if columns.get_field_index(name) >= 0 else "no such column"
        if got != kind:
            raise DataError(
                f"{shard.file} must have the column {name!r} of the type {kind}. Got {got}. Prepare the dataset again.",
                path=f"{DATASET}.{name}",
            )


def _columns(dataset: Dataset) -> Iterator[tuple[str, pa.DataType]]:
    schema = dataset.fitted.schema_
    yield from ((name, pa.int8()) for name in schema.label_columns)
    yield from ((name, pa.float32()) for name in schema.numeric_names)
    for field in schema.id_fields:
        yield field.name, pa.int32() if field.separator is None else pa.list_(pa.int32())


def _footer(dataset: Dataset, file: str) -> _Footer:
    path = dataset.path / file
    try:
        return _read_footer(path, file_stamp(path))
    except (OSError, pa.ArrowException) as error:
        raise read_error(file, error) from error


@lru_cache(maxsize=_FOOTERS_KEPT)
def _read_footer(path: Path, _stamp: Stamp) -> _Footer:
    found = pq.read_metadata(path)
    groups = tuple(found.row_group(index).num_rows for index in range(found.num_row_groups))
    return _Footer(found.schema.to_arrow_schema(), found.num_rows, groups)
