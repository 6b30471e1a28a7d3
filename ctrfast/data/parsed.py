"""Parsed rows between two passes: the raw text is read once, while splits, counts and ids need the rows twice more.

Each block is one arrow file: labels, numbers as float64, texts dictionary-encoded. The folder belongs to a dataset in
the making and is removed before that is published.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.ahead import in_order
from ctrfast.data.cells import parse_numbers
from ctrfast.data.raw import RawBlock
from ctrfast.schema import Schema

_LABEL = "label"  # read back by position, so a raw column may have the same name
_COMPRESSION = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True)
class LabelledBlock:
    """R usable rows. columns: texts dictionary-encoded, numbers float64. label: (R,) int8. first_row: of all usable."""

    columns: dict[str, pa.Array]
    label: npt.NDArray[np.int8]
    first_row: int
    rows: int


class ParsedBlocks:
    """Blocks of labelled rows on disk, read back in order any number of times."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._folder = folder
        self._texts = {field.source for field in schema.id_fields}
        self._count = 0
        self.rows = 0
        folder.mkdir()

    def add_all(self, blocks: Iterable[RawBlock]) -> Generator[int]:
        """Write blocks of labelled rows. Yields the rows of each one once it is written."""
        with closing(in_order(self._write, enumerate(blocks, start=self._count))) as written:
            for rows in written:
                self._count += 1
                self.rows += rows
                yield rows

    def _write(self, numbered: tuple[int, RawBlock]) -> int:
        index, block = numbered
        columns = {name: self._packed(name, column) for name, column in block.columns.items()}
        table = pa.table([pa.array(block.label), *columns.values()], names=[_LABEL, *columns])
        with pa.ipc.new_file(self._file(index), table.schema, options=_COMPRESSION) as writer:
            writer.write_table(table)
        return block.rows

    def __iter__(self) -> Iterator[LabelledBlock]:
        first_row = 0
        for index in range(self._count):
            table = pa.ipc.open_file(self._file(index)).read_all().combine_chunks()
            label, *columns = (column.chunk(0) for column in table.columns)
            names = table.column_names[1:]
            block = LabelledBlock(dict(zip(names, columns, strict=True)), label.to_numpy(), first_row, len(label))
            first_row += block.rows
            yield block

    def remove(self) -> None:
        """Delete all blocks."""
        shutil.rmtree(self._folder)

    def _packed(self, name: str, column: pa.Array) -> pa.Array:
        if name in self._texts:
            return column.dictionary_encode()
        return pa.array(parse_numbers(column)[0], from_pandas=True)  # NaN, which no row can hold, -> null

    def _file(self, index: int) -> str:
        return str(self._folder / f"{index:06}.arrow")
