"""Id values of the training split -> dense local ids, one vocabulary per id field.

    local id 0 = unseen or rarer than min_count, 1 = missing, 2, 3, ... = kept values by falling count, ties by text

Frequent ids get small numbers, so the rows of the embedding table that most batches touch lie side by side.
Vocabularies are stored as `<field>.parquet` (value, count, id): readable anywhere, no code inside.

    counter = ValueCounter()
    counter.add(values, counts)                          # block after block
    vocabulary = Vocabulary.fit(counter.table(), min_count=2)
    vocabulary.encode(pa.array(["a", None, "new"]))      # array([2, 1, 0], dtype=int32)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ctrfast.errors import ArtifactError
from ctrfast.schema import FIRST_ID, MISSING_ID, UNSEEN_ID

Ids = npt.NDArray[np.int32]

_SCHEMA = pa.schema([("value", pa.string()), ("count", pa.int64()), ("id", pa.int32())])
_MERGE_AT = 4_000_000  # pending (value, count) pairs before they are summed: bounds what repeats cost in memory


class ValueCounter:
    """Counts of text values, added block by block; memory grows with the distinct values, not with the rows."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._pending = 0
        self._merge_at = _MERGE_AT

    def add(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """Add counts of values (text, no nulls); a value may come any number of times."""
        self._parts.append(pa.table({"value": values, "count": counts}))
        self._pending += len(values)
        if self._pending >= self._merge_at:
            merged = self.table()
            self._parts, self._pending = [merged], len(merged)
            self._merge_at = _MERGE_AT + 2 * len(merged)  # doubling keeps the total work linear

    def table(self) -> pa.Table:
        """Distinct values and their counts: columns `value`, `count`, in no order."""
        if not self._parts:
            return pa.table({"value": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        summed = pa.concat_tables(self._parts).group_by("value").aggregate([("count", "sum")])
        return pa.table({"value": summed["value"], "count": summed["count_sum"]})


class Vocabulary:
    """The kept values of one id field, most frequent first.

    Args:
        values: (K,) distinct texts; value k has local id k + 2.
        counts: (K,) occurrences in the training split.
    """

    def __init__(self, values: pa.Array, counts: pa.Array) -> None:
        self.values = values
        self.counts = counts

    @classmethod
    def fit(cls, counted: pa.Table, min_count: int) -> Vocabulary:
        """Keep the values of a `ValueCounter` table that occur at least `min_count` times."""
        kept = counted.filter(pc.greater_equal(counted["count"], min_count))
        kept = kept.sort_by([("count", "descending"), ("value", "ascending")])
        return cls(_whole(kept["value"]), _whole(kept["count"]))

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, values: pa.Array) -> Ids:
        """Local ids (R,) of texts (R,); null means missing."""
        # Arrow builds its hash on each call, so it pays for many values; the dict is built once and serves few.
        if 4 * len(values) < len(self):
            return self.encode_texts(values.to_pylist())
        found = pc.index_in(values, self.values)
        local = pc.add(found.fill_null(UNSEEN_ID - FIRST_ID), FIRST_ID)
        ids: Ids = local.to_numpy(zero_copy_only=False).astype(np.int32)
        ids[values.is_null().to_numpy(zero_copy_only=False)] = MISSING_ID
        return ids

    def encode_texts(self, values: list[str | None]) -> Ids:
        """Local ids (R,) of a few texts."""
        get = self.index.get
        return np.array([get(value, UNSEEN_ID) for value in values], dtype=np.int32)

    @cached_property
    def index(self) -> dict[str | None, int]:
        """Text -> local id; None -> the missing id."""
        index: dict[str | None, int] = {None: MISSING_ID}
        index.update(zip(self.values.to_pylist(), range(FIRST_ID, len(self) + FIRST_ID), strict=True))
        return index

    def save(self, path: Path) -> None:
        """Write `<field>.parquet`."""
        ids = pa.array(np.arange(FIRST_ID, len(self) + FIRST_ID, dtype=np.int32))
        table = pa.Table.from_arrays([self.values, self.counts, ids], schema=_SCHEMA)
        pq.write_table(table, path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read `<field>.parquet`.

        Raises:
            ArtifactError: the file is missing, or is not a vocabulary.
        """
        try:
            table = pq.read_table(path, schema=_SCHEMA)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"vocabulary/{path.name} cannot be read. Write the artefact again.") from error
        ids = table["id"].to_numpy()
        if table["value"].null_count or not np.array_equal(ids, np.arange(FIRST_ID, len(ids) + FIRST_ID)):
            raise ArtifactError(f"vocabulary/{path.name} must count its ids from {FIRST_ID}. Write the artefact again.")
        return cls(_whole(table["value"]), _whole(table["count"]))


def hash_vocabularies(vocabularies: Mapping[str, Vocabulary]) -> str:
    """sha256 over field names, values and counts of all vocabularies, in order."""
    digest = hashlib.sha256()
    for name, vocabulary in vocabularies.items():
        # Lengths before content, so that no two different sets of values read the same.
        digest.update(f"{len(name)}:{name}:{len(vocabulary)}:".encode())
        lengths = pc.binary_length(vocabulary.values).to_numpy(zero_copy_only=False)
        digest.update(lengths.astype("<i4").tobytes())
        digest.update(pc.binary_join(_as_list(vocabulary.values), b"")[0].as_buffer())
        digest.update(vocabulary.counts.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    return digest.hexdigest()


def _as_list(values: pa.Array) -> pa.Array:
    """One list that holds all values, as bytes: arrow then joins them without Python."""
    offsets = pa.array([0, len(values)], type=pa.int32())
    return pa.ListArray.from_arrays(offsets, values.cast(pa.binary()))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array; its type may be a dictionary or large text."""
    text = pa.string() if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else column.type
    return pa.concat_arrays(column.cast(text).chunks) if column.num_chunks else pa.array([], type=text)
