"""Raw rows from a parquet file: columns by name, values by the rules that hold for text.

    for chunk in table_chunks(Source.of(Path("clicks.parquet")), schema, require_label=True, rows_per_chunk=262_144):
        chunk.tokens(("C1", "I1")).cells["C1"]

A label may be text, whole numbers, floats or booleans; a numeric field's column text or numbers; an id field's column
text or whole numbers, whose decimal text is the id, and floats too where buckets are made of them, or lists of texts or
whole numbers for a field of lists. Null and "" are missing; a float that is not finite is no number.
Row groups are read one after the other, and large ones in parts, so that memory holds no whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.cells import Cells, is_id_type, is_number_type, is_text_type
from ctrfast.data.list_cells import is_list, joined
from ctrfast.data.lists import list_separators, longest_cell
from ctrfast.data.numbers import numbers_of
from ctrfast.data.rejects import TEXT_CHARACTERS
from ctrfast.data.sources import Source
from ctrfast.data.tokens import CODES, Codes, Tokens, is_utf8
from ctrfast.errors import DamagedFileError, DataError
from ctrfast.schema import Schema

_MAGIC = b"PAR1"
_SUFFIXES = (".parquet", ".pq")
_CHUNK_BYTES = 8 * 2**20  # as stored but not compressed; unpacked it may be some times more
_BUFFER_BYTES = 2**20  # of each column, while it is read

_Check = Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class TableChunk:
    """Rows of a parquet file. first_line: number of the first one, from 1. consumed: see `ctrfast.data.raw.Chunk`.

    separators: by column that a field of lists is made from. longest: bytes that a value may have.
    """

    batch: pa.RecordBatch
    first_line: int
    consumed: int
    separators: Mapping[str, str]
    longest: int

    def tokens(self, wanted: tuple[str, ...]) -> Tokens:
        """The wanted columns' cells; floats are given as numbers and have no cells."""
        R = self.batch.num_rows
        codes: Codes = np.zeros(R, np.uint8)
        cells, numbers, texts = {}, {}, []
        for name in wanted:
            column = self.batch.column(name)
            column = joined(column, self.separators[name]) if is_list(column.type) else _plain(column)
            if pa.types.is_floating(column.type):
                numbers[name] = numbers_of(column.cast(pa.float64()))
            else:
                cells[name] = Cells.of(column)
                texts += [cells[name]] if pa.types.is_large_string(column.type) else []
        for text in texts:
            codes[_bad_text(text)] = CODES.index("encoding")
        for column in cells.values():
            codes[column.ends - column.starts > self.longest] = CODES.index("too_long")
        lines = np.zeros(R, np.int64)
        return Tokens(cells, codes, np.full(R, len(wanted), np.int64), lines, lines, numbers)

    def row_text(self, tokens: Tokens, row: int) -> bytes:
        """The start of a row's values, joined by tabs."""
        texts = []
        for name in self.batch.schema.names:
            if name in tokens.cells:
                cells = tokens.cells[name]
                texts.append(cells.text[cells.starts[row] : cells.ends[row]][: 4 * TEXT_CHARACTERS].tobytes())
            else:
                value = self.batch.column(name)[row].as_py()
                texts.append(b"" if value is None else repr(value).encode())
        return b"\t".join(texts)[: 4 * TEXT_CHARACTERS]


def is_parquet(source: Source) -> bool:
    """Whether a file is parquet, by its suffix or its first bytes. Raises DamagedFileError."""
    if source.name.endswith(_SUFFIXES):
        return True
    try:
        with source.open_stream() as file:
            return bool(file.read(len(_MAGIC)) == _MAGIC)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DamagedFileError(f"{source} cannot be read: {reason}. Fetch the file again.") from error


def table_chunks(
    source: Source, schema: Schema, *, require_label: bool, rows_per_chunk: int, side: tuple[str, ...] = ()
) -> Iterator[TableChunk]:
    """Cut a file into chunks of rows. The same file always gives the same chunks.

    side: columns that it must have beside label and inputs.

    Raises:
        DataError: the file is damaged, lacks a column, or has one of a type that its field cannot take.
    """
    labels = schema.labels if require_label else ()
    wanted = tuple(dict.fromkeys((*labels, *schema.input_columns, *side)))
    separators, longest = list_separators(schema), longest_cell(schema)
    try:
        with source.open_random() as stored, pq.ParquetFile(stored, buffer_size=_BUFFER_BYTES) as file:
            _require_columns(file.schema_arrow, schema, wanted, source, side)
            done, all_rows = 0, file.metadata.num_rows
            for group in range(file.num_row_groups):
                rows = min(rows_per_chunk, _rows_of_chunk(file.metadata.row_group(group)))
                parts = file.iter_batches(rows, row_groups=[group], columns=list(wanted), use_threads=False)
                for batch in parts:
                    if batch.num_rows:
                        first, done = done + 1, done + batch.num_rows
                        rows_of = batch.select(list(wanted))
                        yield TableChunk(rows_of, first, source.size * done // all_rows, separators, longest)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DamagedFileError(f"{source} cannot be read to its end: {reason}. Fetch the file again.") from error


def _rows_of_chunk(group: Any) -> int:
    per_row = max(1, group.total_byte_size // max(1, group.num_rows))
    return max(1, int(_CHUNK_BYTES // per_row))


def _plain(column: pa.Array) -> pa.Array:
    """A column without dictionary, its texts with large offsets."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8())
    return column.cast(pa.large_string()) if is_text_type(column.type) else column


def _bad_text(cells: Cells) -> npt.NDArray[np.bool_]:
    """(R,) whether a text is not UTF-8: parquet files do not promise it."""
    bad = np.zeros(len(cells), bool)
    if len(cells.text) and cells.text.max() >= 128:
        for row in range(len(cells)):
            bad[row] = not is_utf8(cells.text, cells.starts[row], cells.ends[row])
    return bad


def _is_ids(kind: pa.DataType) -> bool:
    return is_id_type(kind.value_type if is_list(kind) else kind)


def _is_label(kind: pa.DataType) -> bool:
    return is_number_type(kind) or bool(pa.types.is_boolean(kind))


def _require_columns(
    found: pa.Schema, schema: Schema, wanted: tuple[str, ...], source: Source, side: tuple[str, ...]
) -> None:
    missing = [name for name in wanted if name not in found.names]
    if missing:
        raise DataError(
            f"{source} must have each column that the schema uses. It lacks {', '.join(missing)}. "
            "Check the file and the schema."
        )
    twice = [name for name in wanted if found.names.count(name) > 1]
    if twice:
        raise DataError(f"{source} names {', '.join(twice)} more than once. Keep one column of each name.")
    for name in wanted:
        kind = found.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        for takes, what in _uses(schema, name, side):
            if not takes(kind):
                raise DataError(
                    f"The column {name!r} of {source} must hold {what}. Got the type {kind}. Write it as one of them.",
                    path=name,
                )


def _uses(schema: Schema, name: str, side: tuple[str, ...]) -> list[tuple[_Check, str]]:
    uses: list[tuple[_Check, str]] = []
    if name in schema.labels:
        uses.append((_is_label, "text, numbers or booleans, since it is a label"))
    if name in {field.source for field in schema.numeric_fields}:
        uses.append((is_number_type, "text or numbers, since a numeric field is made from it"))
    if name in {field.source for field in schema.id_fields if field.bucket is not None}:
        uses.append((is_number_type, "text or numbers, since buckets are made from it"))
    if name in {field.source for field in schema.id_fields if field.bucket is None and field.separator is None}:
        uses.append((is_id_type, "text or whole numbers, since an id field is made from it"))
    if name in list_separators(schema):
        uses.append((_is_ids, "text, whole numbers or lists of them, since an id field is made from it"))
    if name in side:
        uses.append((is_id_type, "text or whole numbers, since it tells a row's time or split"))
    return uses
