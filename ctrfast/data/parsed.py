"""Parsed rows on disk, so that the raw text is read once: one arrow file per chunk, one folder per raw file.

    label int8 | numbers float64 (NaN = missing) | keys uint64 of the id fields (`ctrfast.data.keys`)

Beside a block lie the texts of its hashed keys, and its rejected rows, where it has any; the block is renamed into
place last. A chunk whose block is there is not parsed again, so a killed preparation goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.ahead import in_order
from ctrfast.data.keys import Keys, is_hashed, keys_of_columns
from ctrfast.data.raw import Chunk, Rejected, chunks_of, parse_chunk
from ctrfast.data.times import field_cells
from ctrfast.schema import Schema

_COMPRESSION = pa.ipc.IpcWriteOptions(compression="lz4")
_REJECTED = pa.schema([("line", pa.int64()), ("reason", pa.string()), ("text", pa.binary())])
_TEXTS = pa.schema([("field", pa.int32()), ("key", pa.uint64()), ("text", pa.string())])


@dataclass(frozen=True)
class Block:
    """A parsed chunk on disk. rows: usable ones. rejected: others, per reason."""

    path: Path
    rows: int
    rejected: Counter[str]

    def column(self, index: int) -> npt.NDArray[Any]:
        """(rows,) values of a column: 0 is the label, then the numbers, then the id fields' keys."""
        options = pa.ipc.IpcReadOptions(included_fields=[index])
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file, options=options) as reader:
            values: npt.NDArray[Any] = reader.get_batch(0).column(0).to_numpy()
            return values

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
    def open(cls, path: Path) -> Block:
        """A block that `write` left."""
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            rows = int(reader.schema.metadata[b"rows"])
        beside = path.with_suffix(".rejected")
        reasons = _read(beside)["reason"].to_pylist() if beside.is_file() else []
        return cls(path, rows, Counter(reasons))

    @classmethod
    def write(cls, path: Path, chunk: Chunk, schema: Schema) -> Block:
        """Parse a chunk and keep it."""
        block, rejected = parse_chunk(chunk, schema)
        texts: list[tuple[int, Keys, pa.Array]] = []
        columns: list[npt.NDArray[Any]] = [block.label, *block.numbers.values()]  # type: ignore[list-item]
        fields = [field_cells(block.texts[field.source], field) for field in schema.id_fields]
        for index, (cells, keys) in enumerate(zip(fields, keys_of_columns(fields), strict=True)):
            columns.append(keys)
            hashed = np.flatnonzero(is_hashed(keys))
            if len(hashed):
                distinct, first = np.unique(keys[hashed], return_index=True)
                texts.append((index, distinct, cells[hashed[first]].to_arrow()))
        beside = cls(path, block.rows, Counter(rejected.reasons))
        if texts:
            _write(beside._beside("texts"), pa.concat_tables(_texts(*entry) for entry in texts))
        if rejected.lines:
            table = pa.table([rejected.lines, rejected.reasons, rejected.texts], schema=_REJECTED)
            _write(beside._beside("rejected"), table)
        names = ["label", *(f"numbers.{name}" for name in block.numbers), *(f"keys.{name}" for name in schema.id_names)]
        table = pa.table([pa.array(column) for column in columns], names=names)
        _write(path, table.replace_schema_metadata({"rows": str(block.rows)}))
        return beside

    def _beside(self, what: str) -> Path:
        return self.path.with_suffix(f".{what}")


def parse_file(path: Path, schema: Schema, folder: Path) -> Generator[Block]:
    """Parse a raw file into `folder`, or take what is there already. Yields its blocks in order."""
    folder.mkdir(parents=True, exist_ok=True)

    def parsed(numbered: tuple[int, Chunk]) -> Block:
        index, chunk = numbered
        place = folder / f"{index:07}.arrow"
        return Block.open(place) if place.is_file() else Block.write(place, chunk, schema)

    yield from in_order(parsed, enumerate(chunks_of(path, schema)))


def _texts(field: int, keys: Keys, texts: pa.Array) -> pa.Table:
    return pa.table([pa.array(np.full(len(keys), field, np.int32)), pa.array(keys), texts], schema=_TEXTS)


def _write(path: Path, table: pa.Table) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with pa.ipc.new_file(str(partial), table.schema, options=_COMPRESSION) as writer:
        writer.write_table(table)
    partial.replace(path)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def rejected_rows(blocks: Iterator[Block]) -> Iterator[Rejected]:
    """The rejected rows of blocks, for those that have any."""
    for block in blocks:
        if block.rejected:
            yield block.rejects()
