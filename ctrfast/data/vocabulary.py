"""Id values of the training split -> dense local ids, one vocabulary per id field.

    local id 0 = unseen or rarer than min_count, 1 = missing, 2, 3, ... = kept values by falling count, ties by text
    a grown vocabulary (`grown`): first all values of the earlier one, then the new ones

Frequent ids get small numbers, so the rows of the embedding table that most batches touch lie side by side.
Vocabularies are stored as `<field>.parquet` (value, count, id): readable anywhere, no code inside.

    vocabulary = Vocabulary.fit(pa.array(["b", "a"]), np.array([2, 5]))
    vocabulary.encode(pa.array(["a", None, "new"]))      # array([2, 1, 0], dtype=int32)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ctrfast.data.cells import Cells, from_arrow, to_arrow
from ctrfast.errors import ArtifactError
from ctrfast.schema import FIRST_ID, MISSING_ID, UNSEEN_ID

if TYPE_CHECKING:
    from ctrfast.data.keys import Keys
    from ctrfast.data.tally import KeyTable

Ids = npt.NDArray[np.int32]

_SCHEMA = pa.schema([("value", pa.string()), ("count", pa.int64()), ("id", pa.int32())])


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
    def fit(cls, values: pa.Array, counts: npt.NDArray[np.int64]) -> Vocabulary:
        """Put distinct texts (K,) and their counts (K,) in order."""
        order = _order(Cells.of(values), counts)
        return cls(values.take(to_arrow(order)), to_arrow(counts[order]))

    def grown(self, later: Vocabulary) -> Vocabulary:
        """Append the values that only a later vocabulary has, in their order: all ids stay.

        Counts of values that both have are added.
        """
        places = pc.index_in(later.values, self.values)  # null where the value is new
        is_new = np.isnan(places.cast(pa.float64()).to_numpy(zero_copy_only=False))
        counts, more = (from_arrow(vocabulary.counts, np.int64) for vocabulary in (self, later))
        summed = counts.copy()
        summed[places.drop_null().to_numpy()] += more[~is_new]
        values = pa.concat_arrays([self.values, later.values.filter(pa.array(is_new))])
        return Vocabulary(values, to_arrow(np.concatenate((summed, more[is_new]))))

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, values: pa.Array) -> Ids:
        """Local ids (R,) of texts (R,); null means missing."""
        from ctrfast.data.keys import keys_of  # compiled code: half a second that a start need not wait for

        return self.encode_keys(keys_of(Cells.of(values)))

    def encode_keys(self, keys: Keys) -> Ids:
        """Local ids (R,) of keys (R,)."""
        return self._table.places(keys)

    @property
    def hash(self) -> str:
        """sha256 over values and counts."""
        cells = Cells.of(self.values)
        # Lengths before content, so that no two different sets of values read the same.
        digest = hashlib.sha256((cells.ends - cells.starts).astype("<i4").tobytes())
        digest.update(cells.text[cells.starts[0] : cells.ends[-1]].tobytes() if len(cells) else b"")
        digest.update(from_arrow(self.counts, np.int64).astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def _table(self) -> KeyTable:
        from ctrfast.data.keys import keys_of
        from ctrfast.data.tally import KeyTable

        keys = keys_of(Cells.of(self.values))
        return KeyTable(keys, first=FIRST_ID, missing=MISSING_ID, absent=UNSEEN_ID)

    def save(self, path: Path) -> None:
        """Write `<field>.parquet`."""
        ids = to_arrow(np.arange(FIRST_ID, len(self) + FIRST_ID, dtype=np.int32))
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


def hash_vocabularies(hashes: Mapping[str, str]) -> str:
    """sha256 over field names and the hashes of their vocabularies, in order."""
    return hashlib.sha256(json.dumps(list(hashes.items())).encode()).hexdigest()


def _order(cells: Cells, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """(K,) order by falling count, ties by text."""
    lengths = cells.ends - cells.starts
    # The first 8 bytes as a number, highest byte first, compare as the texts do; longer texts need more than that.
    first = np.zeros(len(cells), np.uint64)
    for place in range(8):
        inside = place < lengths
        byte = np.where(inside, cells.text[np.where(inside, cells.starts + place, 0)] if len(cells.text) else 0, 0)
        first = (first << np.uint64(8)) | byte.astype(np.uint64)
    order: npt.NDArray[np.intp] = np.lexsort((lengths, first, -counts))
    a, b = order[:-1], order[1:]
    if ((counts[a] == counts[b]) & (first[a] == first[b]) & ((lengths[a] > 8) | (lengths[b] > 8))).any():
        table = pa.table({"count": counts, "text": cells.to_arrow().cast(pa.binary())})
        order = pc.sort_indices(table, [("count", "descending"), ("text", "ascending")]).to_numpy()
    return order


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array; its type may be a dictionary or large text."""
    text = pa.string() if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else column.type
    return pa.concat_arrays(column.cast(text).chunks) if column.num_chunks else pa.array([], type=text)
