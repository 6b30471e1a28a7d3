"""Raw click logs -> blocks of columns. Every row comes out, or goes to the reject sink with its reason.

    with RejectWriter(folder / "rejected.parquet") as rejects:
        for block in read_raw([Path("day_0.tsv.gz")], preset("criteo"), rejects=rejects):
            block.texts["C1"]       # Cells; empty ones are missing
            block.numbers["I1"]     # (R,) float64, NaN where missing
            block.label             # (R,) int8, or (R, T) where the schema has several labels

`chunks_of` and `parse_chunk` are its two halves: what must be done in order, and what may be done anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctrfast.data.ahead import in_order
from ctrfast.data.cells import LONGEST_VALUE, Cells, Mask
from ctrfast.data.derived import bad_values, number_cells
from ctrfast.data.layout import Layout, find_layout
from ctrfast.data.lines import count_lines, whole_lines
from ctrfast.data.lists import long_columns, longest_cell
from ctrfast.data.numbers import Floats, parse_numbers
from ctrfast.data.parquet_input import TableChunk, is_parquet, table_chunks
from ctrfast.data.rejects import RejectSink
from ctrfast.data.side_columns import NO_SIDE_COLUMNS, SideColumns, Splits, Times
from ctrfast.data.sources import Source, find_sources
from ctrfast.data.tokens import CODES, Tokens, tokenize
from ctrfast.errors import DataError
from ctrfast.schema import Schema

Labels = npt.NDArray[np.int8]

_MOST_NAMED = 10


@dataclass(frozen=True)
class RawBlock:
    """R usable rows. texts: by column of the id fields. numbers: (R,) by numeric field, NaN = missing.

    label: (R,) 0 or 1, or (R, T) of several, -1 where unknown; None when not read.
    first_row: index of the first row among all usable rows of the reading.
    times, splits: (R,) each, where preparation asks for them (`ctrfast.data.side_columns`).
    """

    texts: dict[str, Cells]
    numbers: dict[str, Floats]
    label: Labels | None
    first_row: int
    rows: int
    times: Times | None = None
    splits: Splits | None = None

    def label_columns(self) -> list[Labels]:
        """(R,) each of the labels, of which there must be some."""
        if self.label is None:
            raise ValueError("The labels of this block were not read.")
        return [self.label] if self.label.ndim == 1 else [np.ascontiguousarray(each) for each in self.label.T]


@dataclass(frozen=True)
class Rejected:
    """Rows of a file that cannot be used: line numbers from 1, codes from `REASONS`, raw lines without newline."""

    lines: list[int]
    reasons: list[str]
    texts: list[bytes]


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file. first_line: number of the first one. layout: of the file.

    consumed: bytes of the file, as stored, that were read when the chunk was cut.
    """

    layout: Layout
    first_line: int
    text: bytes
    consumed: int

    def tokens(self, wanted: tuple[str, ...]) -> Tokens:
        """Where the wanted columns' values lie."""
        return tokenize(self.text, self.layout, wanted)

    def row_text(self, tokens: Tokens, row: int) -> bytes:
        """A line, without its newline."""
        return self.text[tokens.line_starts[row] : tokens.line_ends[row]]


def read_raw(
    paths: Sequence[Path | str],
    schema: Schema,
    *,
    rejects: RejectSink,
    require_label: bool = True,
    rows_per_block: int = 262_144,
) -> Iterator[RawBlock]:
    """Read raw files one after the other.

    Args:
        paths: text files, plain, .gz or .zst, and parquet; also folders, patterns and addresses of them
            (`ctrfast.data.sources`).
        schema: the meaning of their columns.
        rejects: takes rows that cannot be used.
        require_label: False takes files with or without the label column and reads no label.
        rows_per_block: the most rows of one block.

    Raises:
        DataError: a file is missing or damaged, its columns are not the schema's, or no row is usable.
    """
    sources = find_sources(paths)
    rows = 0
    for source in sources:
        chunks = chunks_of(source, schema, require_label=require_label, rows_per_block=rows_per_block)
        for block, rejected in in_order(lambda chunk: parse_chunk(chunk, schema, require_label), chunks):
            if rejected.lines:
                rejects.add(source, rejected.lines, rejected.reasons, rejected.texts)
            if block.rows:
                yield replace(block, first_row=rows)
                rows += block.rows
    if not rows:
        raise no_usable_row(sources)


def no_usable_row(sources: Sequence[Source]) -> DataError:
    """The error for files in which each row was rejected, or that have none."""
    names = ", ".join(source.name for source in sources[:_MOST_NAMED])
    if len(sources) > _MOST_NAMED:
        names += f" and {len(sources) - _MOST_NAMED:,} more"
    return DataError(f"There must be at least one usable row. Got none in {names}. Check files and schema.")


def chunks_of(
    source: Source,
    schema: Schema,
    *,
    require_label: bool = True,
    rows_per_block: int = 262_144,
    side: SideColumns = NO_SIDE_COLUMNS,
) -> Iterator[Chunk | TableChunk]:
    """Cut a file after whole lines, the header left out, or a parquet file into rows.

    The same file always gives the same chunks.

    side: columns that the file must have beside label and inputs.

    Raises:
        DataError: the file is damaged, or its columns are not the schema's.
    """
    if is_parquet(source):
        yield from table_chunks(
            source, schema, require_label=require_label, rows_per_chunk=rows_per_block, side=side.names
        )
        return
    layout: Layout | None = None
    # A line longer than all its columns' longest values is refused anyway, so `whole_lines` may cut it.
    longest = (longest_cell(schema) + 1) * len(schema.columns)
    for line, text, consumed in whole_lines(source, longest=longest):
        if layout is None:
            head, _, body = text.partition(b"\n")
            layout = find_layout(schema, head + b"\n", source, require_label=require_label, also=side.names)
            if layout.header:
                line, text = line + 1, body
            if text:
                unlabelled = len(layout.names) - len(schema.labels) if require_label else None
                _refuse_wrong_layout(text, layout, source, line, unlabelled)
        for offset, part in _parts(text, rows_per_block):
            yield Chunk(layout, line + offset, part, consumed)


def parse_chunk(
    chunk: Chunk | TableChunk, schema: Schema, require_label: bool = True, side: SideColumns = NO_SIDE_COLUMNS
) -> tuple[RawBlock, Rejected]:
    """The usable rows of a chunk, and the others. `first_row` of the block is 0."""
    labels = schema.labels if require_label else ()
    tokens = chunk.tokens(tuple(dict.fromkeys((*labels, *schema.input_columns, *side.names))))
    codes = tokens.codes
    good = np.flatnonzero(codes == 0)
    cells = tokens.cells if len(good) == len(codes) else {name: cell[good] for name, cell in tokens.cells.items()}
    given = {name: (values[good], bad[good]) for name, (values, bad) in tokens.numbers.items()}
    parsed = {
        field.name: given[field.source] if field.source in given else parse_numbers(cells[field.source])
        for field in schema.numeric_fields
    }
    label, bad_labels = _read_labels(labels, cells, given) if require_label else (None, slice(0))
    texts = {
        field.source: cells[field.source] if field.source in cells else number_cells(given[field.source][0])
        for field in schema.id_fields  # of floats, buckets alone are made
    }

    times, bad_timestamps = side.times(cells)
    splits, bad_splits = side.splits(cells)

    value_codes = np.zeros(len(good), np.uint8)
    value_codes[bad_splits] = CODES.index("split")
    value_codes[bad_timestamps] = CODES.index("time")
    for field in reversed(schema.id_fields):
        bad_cells = given[field.source][1] if field.source in given else bad_values(texts[field.source], field)
        if bad_cells is not None:
            value_codes[bad_cells] = CODES.index("time" if field.part is not None else "number")
    for _, bad in parsed.values():
        value_codes[bad] = CODES.index("number")
    value_codes[bad_labels] = CODES.index("label")
    lists = long_columns(schema)
    for name, column in cells.items() if lists else ():  # the cells of a file with lists are read with their limit
        if name not in lists:
            value_codes[column.ends - column.starts > LONGEST_VALUE] = CODES.index("too_long")
    codes[good] = value_codes
    refused = np.flatnonzero(codes).tolist()
    rejected = Rejected(
        [chunk.first_line + row for row in refused],
        [CODES[codes[row]] for row in refused],
        [chunk.row_text(tokens, row) for row in refused],
    )
    numbers = {name: values for name, (values, _) in parsed.items()}
    keep = value_codes == 0
    if not keep.all():
        numbers = {name: values[keep] for name, values in numbers.items()}
        texts = {name: cell[keep] for name, cell in texts.items()}
        label = label[keep] if label is not None else None
        times = times[keep] if times is not None else None
        splits = splits[keep] if splits is not None else None
    return RawBlock(texts, numbers, label, 0, int(keep.sum()), times, splits), rejected


def _parts(text: bytes, rows: int) -> Iterator[tuple[int, bytes]]:
    """Cut text after each `rows` lines. Yields (lines before the part, part)."""
    if count_lines(text) <= rows:  # nearly always
        yield 0, text
        return
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    start = 0
    for line in range(0, len(ends), rows):
        end = int(ends[min(line + rows, len(ends)) - 1])
        yield line, text[start:end]
        start = end


def _refuse_wrong_layout(text: bytes, layout: Layout, source: Source, first_line: int, unlabelled: int | None) -> None:
    """Refuse the wrong file: one whose first lines *all* have the wrong number of columns.

    unlabelled: columns of a file without labels; None where those are not needed.
    """
    columns = tokenize(text, layout, ()).columns
    if (columns != len(layout.names)).all():
        got = int(np.bincount(columns).argmax())
        remedy = "Check the file and the schema or preset."
        if got == unlabelled:
            remedy = (
                "A file without labels has so many: preparing and evaluating need them, scoring does not. "
                "Give the file with its labels, or check the schema or preset."
            )
        raise DataError(
            f"Each line of {source} must have {len(layout.names)} columns separated by {layout.separator.decode()!r}. "
            f"Got {got} on line {first_line} and no line that fits. {remedy}"
        )


def _read_labels(
    names: Sequence[str], cells: Mapping[str, Cells], given: Mapping[str, tuple[Floats, Mask]]
) -> tuple[Labels, Mask]:
    """Labels (R,) of one column or (R, T) of several, and the rows (R,) whose label is bad.

    The first must be there; of the others an empty one is `UNKNOWN`, which is what a bad one looks like too.
    """
    found: list[Labels] = []
    bad: list[Mask] = []
    for name in names:
        if name in given:
            values, is_no_number = given[name]
            found.append(_float_labels(values))
            is_empty = np.isnan(values) & ~is_no_number
        else:
            found.append(_labels(cells[name]))
            is_empty = cells[name].starts == cells[name].ends
        is_bad = found[-1] < 0
        bad.append(is_bad & ~is_empty if bad else is_bad)
    return (found[0], bad[0]) if len(names) == 1 else (np.stack(found, axis=1), np.any(bad, axis=0))


def _labels(cells: Cells) -> Labels:
    """(R,) 0 or 1, and -1 where the text is neither."""
    is_digit = cells.ends - cells.starts == 1
    first = cells.text[np.where(is_digit, cells.starts, 0)] if len(cells.text) else np.zeros(len(cells), np.uint8)
    return np.where(is_digit & (first == ord("1")), 1, np.where(is_digit & (first == ord("0")), 0, -1)).astype(np.int8)


def _float_labels(values: Floats) -> Labels:
    """(R,) 0 or 1, and -1 where the number is neither or missing."""
    return np.where(values == 1, 1, np.where(values == 0, 0, -1)).astype(np.int8)
