"""Parsed rows on disk, so that the raw text is read once: one file per chunk, one folder per raw file.

A block holds one column after the other, as they lie in memory, and nothing else:

    label (R,) int8 | numbers (R,) float64, NaN = missing | keys (R,) uint64 of each id field (`ctrfast.data.keys`)
    | time (R,) int64, smallest = missing, where the schema has a timestamp | split (R,) int8, where a column tells it
    | further labels (R,) int8 each, -1 = unknown, where the schema has several

A field of quantile buckets has its numbers, float64, in the place of its keys; a field of lists has the lengths of its
lists, uint64, and the keys of all values in a file beside the block.

Beside it lie the texts of its hashed keys, and its rejected rows, where it has any; the block is renamed into
place last. A chunk whose block is there is not parsed again, so a killed preparation goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.derived import field_cells
from ctrfast.data.keys import Keys, is_hashed, keys_of, keys_of_columns
from ctrfast.data.list_cells import split_lists
from ctrfast.data.numbers import parse_numbers
from ctrfast.data.parquet_input import TableChunk
from ctrfast.data.pool import THREADS, Pool
from ctrfast.data.raw import Chunk, Rejected, chunks_of, parse_chunk
from ctrfast.data.side_columns import NO_SIDE_COLUMNS, SideColumns, Splits, Times
from ctrfast.data.sources import Source
from ctrfast.folders import whole_file
from ctrfast.schema import Schema

_REJECTED = pa.schema([("line", pa.int64()), ("reason", pa.string()), ("text", pa.binary())])
_TEXTS = pa.schema([("field", pa.int32()), ("key", pa.uint64()), ("text", pa.string())])


@dataclass(frozen=True)
class Block:
    """A parsed chunk on disk. rows: usable ones. numbers: numeric columns. rejected: other rows, per reason.

    fields: columns between the label and the side columns. labels: how many there are.
    """

    path: Path
    rows: int
    numbers: int
    rejected: Counter[str]
    fields: int
    side: SideColumns
    labels: int = 1

    def column(self, index: int) -> npt.NDArray[Any]:
        """(rows,) values of a column: 0 is the label, then the numbers, then the id fields' keys, or their lengths."""
        if index == 0:
            return np.fromfile(self.path, np.int8, self.rows)
        kind = np.float64 if index <= self.numbers else np.uint64
        return np.fromfile(self.path, kind, self.rows, offset=self.rows * (1 + 8 * (index - 1)))

    def label(self, place: int) -> npt.NDArray[np.int8]:
        """(rows,) the label at a place of the schema's; 0 is that of `column`."""
        if place == 0:
            return self.column(0)
        before = 1 + 8 * self.fields + self.side.bytes_per_row + place - 1
        return np.fromfile(self.path, np.int8, self.rows, offset=self.rows * before)

    def times(self) -> Times:
        """(rows,) times, the smallest number where missing; the schema has a timestamp."""
        return np.fromfile(self.path, np.int64, self.rows, offset=self.rows * (1 + 8 * self.fields))

    def splits(self) -> Splits:
        """(rows,) index into `SPLITS`, as the split column tells it."""
        before = 1 + 8 * self.fields + (8 if self.side.timestamp is not None else 0)
        return np.fromfile(self.path, np.int8, self.rows, offset=self.rows * before)

    def list_keys(self, field: int) -> Keys:
        """(M,) keys of all values of an id field of lists."""
        return np.fromfile(self._beside(f"keys{field:05}"), np.uint64)

    def texts(self, field: int) -> tuple[Keys, pa.Array]:
        """Distinct hashed keys of an id field, and their texts."""
        if not self._beside("texts").is_file():
            return np.empty(0, np.uint64), pa.array([], pa.string())
        table = _read(self._beside("texts"))
        table = table.filter(pa.array(table["field"].to_numpy() == field))
        return table["key"].to_numpy(), table["text"].combine_chunks()

    def rejects(self) -> Rejected:
        """The rejected rows."""
        if not self.rejected:
            return Rejected([], [], [])
        table = _read(self._beside("rejected"))
        return Rejected(*(table[name].to_pylist() for name in _REJECTED.names))

    @classmethod
    def open(cls, path: Path, schema: Schema, side: SideColumns = NO_SIDE_COLUMNS) -> Block:
        """A block that `write` left."""
        numbers = len(schema.numeric_fields)
        fields = numbers + len(schema.id_fields)
        labels = len(schema.labels)
        rows = path.stat().st_size // (labels + 8 * fields + side.bytes_per_row)
        beside = path.with_suffix(".rejected")
        reasons = _read(beside)["reason"].to_pylist() if beside.is_file() else []
        return cls(path, rows, numbers, Counter(reasons), fields, side, labels)

    @classmethod
    def write(cls, path: Path, chunk: Chunk | TableChunk, schema: Schema, side: SideColumns = NO_SIDE_COLUMNS) -> Block:
        """Parse a chunk and keep it."""
        block, rejected = parse_chunk(chunk, schema, side=side)
        texts: list[tuple[int, Keys, pa.Array]] = []
        label, *more_labels = block.label_columns()
        columns: list[npt.NDArray[Any]] = [label, *block.numbers.values()]
        keyed = {
            index: field_cells(block.texts[field.source], field)
            for index, field in enumerate(schema.id_fields)
            if field.bucket != "quantile" and field.separator is None
        }
        keys_by_field = dict(zip(keyed, keys_of_columns(list(keyed.values())), strict=True))
        lists: dict[int, Keys] = {}
        for index, field in enumerate(schema.id_fields):
            if field.bucket == "quantile":  # its buckets are known when the splits are
                columns.append(parse_numbers(block.texts[field.source])[0])
                continue
            if field.separator is not None:
                cells, counts = split_lists(block.texts[field.source], field)
                keys = lists[index] = keys_of(cells)
                columns.append(counts.astype(np.uint64))
            else:
                cells, keys = keyed[index], keys_by_field[index]
                columns.append(keys)
            hashed = np.flatnonzero(is_hashed(keys))
            if len(hashed):
                distinct, first = np.unique(keys[hashed], return_index=True)
                texts.append((index, distinct, cells[hashed[first]].to_arrow()))
        numbers = len(block.numbers)
        reasons, fields = Counter(rejected.reasons), numbers + len(schema.id_fields)
        written = cls(path, block.rows, numbers, reasons, fields, side, len(schema.labels))
        columns += [column for column in (block.times, block.splits) if column is not None]
        columns += more_labels
        if texts:
            _write(written._beside("texts"), pa.concat_tables(_texts(*entry) for entry in texts))
        if rejected.lines:
            table = pa.table([rejected.lines, rejected.reasons, rejected.texts], schema=_REJECTED)
            _write(written._beside("rejected"), table)
        for index, keys in lists.items():
            with whole_file(written._beside(f"keys{index:05}")) as file:
                keys.tofile(file)
        with whole_file(path) as place, place.open("wb") as file:
            for column in columns:
                column.tofile(file)
        return written

    def _beside(self, what: str) -> Path:
        return self.path.with_suffix(f".{what}")


def parse_file(
    source: Source, schema: Schema, folder: Path, side: SideColumns = NO_SIDE_COLUMNS, pool: Pool = THREADS
) -> Generator[tuple[Block, int]]:
    """Cut a raw file into chunks, and have `pool` parse them into `folder`, or take what is there already.

    Yields:
        Its blocks in order, each with the bytes of the file that were read for it and those before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield from pool.in_order(partial(_parsed, schema, folder, side), enumerate(chunks_of(source, schema, side=side)))


def _parsed(
    schema: Schema, folder: Path, side: SideColumns, numbered: tuple[int, Chunk | TableChunk]
) -> tuple[Block, int]:
    index, chunk = numbered
    place = folder / f"{index:07}.block"
    block = Block.open(place, schema, side) if place.is_file() else Block.write(place, chunk, schema, side)
    return block, chunk.consumed


def _texts(field: int, keys: Keys, texts: pa.Array) -> pa.Table:
    return pa.table([pa.array(np.full(len(keys), field, np.int32)), pa.array(keys), texts], schema=_TEXTS)


def _write(path: Path, table: pa.Table) -> None:
    with whole_file(path) as file, pa.ipc.new_file(str(file), table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()
