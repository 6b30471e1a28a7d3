"""Raw click logs -> blocks of columns. Every row comes out, or goes to the reject sink with its reason.

    with RejectWriter(folder / "rejected.parquet") as rejects:
        for block in read_raw([Path("day_0.tsv.gz")], preset("criteo"), rejects=rejects):
            block.columns["C1"]     # arrow string array; empty cells are null
            block.label             # (R,) int8

Line numbers must be right and no cell may pass through Python, so lines are measured with numpy first (`layout`);
only lines of the right shape reach arrow's CSV parser, which then cannot fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ctrfast.data.ahead import in_order
from ctrfast.data.cells import LONGEST_VALUE, bad_times, parse_numbers
from ctrfast.data.layout import QUOTE, Layout, Lines, find_layout, measure
from ctrfast.data.lines import require_files, whole_lines
from ctrfast.data.rejects import REASONS, RejectSink
from ctrfast.errors import DataError
from ctrfast.schema import Schema

_PARSER_BYTES = 1 << 20  # text per step of arrow's parser: larger steps leave the cache and take twice as long
_REASON_CODES = ("", *REASONS)  # a row's code is its place here; 0 = the row is good

Codes = npt.NDArray[np.uint8]
_Rejected = tuple[list[int], list[str], list[bytes]]  # line numbers, reasons, raw lines


@dataclass(frozen=True)
class RawBlock:
    """R usable rows. columns: arrow strings per input column, null = missing. label: (R,) int8, None when not read.

    first_row: index of the first row among all usable rows of the reading.
    """

    columns: dict[str, pa.Array]
    label: npt.NDArray[np.int8] | None
    first_row: int
    rows: int


def read_raw(
    paths: Sequence[Path],
    schema: Schema,
    *,
    rejects: RejectSink,
    require_label: bool = True,
    rows_per_block: int = 262_144,
) -> Iterator[RawBlock]:
    """Read raw files one after the other.

    Args:
        paths: text files, plain, .gz or .zst.
        schema: the meaning of their columns.
        rejects: takes rows that cannot be used.
        require_label: False takes files with or without the label column and reads no label.
        rows_per_block: the most rows of one block.

    Raises:
        DataError: a file is missing or damaged, its columns are not the schema's, or no row is usable.
    """
    require_files(list(paths))
    rows = 0
    for path in paths:
        for block in _read_file(path, schema, rejects, require_label, rows_per_block, rows):
            rows += block.rows
            yield block
    if not rows:
        names = ", ".join(path.name for path in paths) or "no file"
        raise DataError(f"There must be at least one usable row. Got none in {names}. Check files and schema.")


def _read_file(
    path: Path, schema: Schema, rejects: RejectSink, require_label: bool, rows_per_block: int, first_row: int
) -> Iterator[RawBlock]:
    def read(chunk: tuple[Layout, int, bytes]) -> tuple[RawBlock, _Rejected]:
        layout, line, text = chunk
        return _read_block(text, layout, schema, line, require_label)

    chunks = _chunks(path, schema, require_label, rows_per_block)
    for block, (lines, reasons, texts) in in_order(read, chunks):
        if lines:
            rejects.add(path, lines, reasons, texts)
        if block.rows:
            yield replace(block, first_row=first_row)
            first_row += block.rows


def _chunks(
    path: Path, schema: Schema, require_label: bool, rows_per_block: int
) -> Iterator[tuple[Layout, int, bytes]]:
    """Yield (layout of the file, number of the first line, whole lines without the header)."""
    layout: Layout | None = None
    # A line longer than all its columns' longest values is refused anyway, so `whole_lines` may cut it.
    longest = (LONGEST_VALUE + 1) * len(schema.columns)
    for line, text in whole_lines(path, longest=longest):
        if layout is None:
            head, _, body = text.partition(b"\n")
            layout = find_layout(schema, head + b"\n", path, require_label=require_label)
            if layout.header:
                line, text = line + 1, body
            if text:
                _refuse_wrong_layout(measure(text, layout.separator, layout.quoted), layout, path, line)
        for offset, part in _parts(text, rows_per_block):
            yield layout, line + offset, part


def _parts(text: bytes, rows: int) -> Iterator[tuple[int, bytes]]:
    """Cut text after each `rows` lines. Yields (lines before the part, part)."""
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    start = 0
    for line in range(0, len(ends), rows):
        end = int(ends[min(line + rows, len(ends)) - 1])
        yield line, text[start:end]
        start = end


def _refuse_wrong_layout(lines: Lines, layout: Layout, path: Path, first_line: int) -> None:
    """Refuse the wrong file: one whose first lines *all* have the wrong number of columns."""
    if (lines.columns != len(layout.names)).all():
        got = int(np.bincount(lines.columns).argmax())
        raise DataError(
            f"Each line of {path} must have {len(layout.names)} columns separated by {layout.separator.decode()!r}. "
            f"Got {got} on line {first_line} and no line that fits. Check the file and the schema or preset."
        )


def _read_block(
    text: bytes, layout: Layout, schema: Schema, first_line: int, require_label: bool
) -> tuple[RawBlock, _Rejected]:
    """Parse whole lines. `first_row` of the block is left at 0: blocks are parsed side by side."""
    lines = measure(text, layout.separator, layout.quoted)
    codes = _check_lines(text, lines, layout)
    table = _parse(_keep_lines(text, lines, codes == 0), layout, schema, require_label)
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    label = _labels(columns.pop(schema.label)) if require_label else None
    value_codes = _check_values(columns, label, schema)
    codes[codes == 0] = value_codes
    bad = np.flatnonzero(codes).tolist()
    rejected = (
        [first_line + row for row in bad],
        [_REASON_CODES[codes[row]] for row in bad],
        [text[lines.starts[row] : lines.ends[row]] for row in bad],
    )
    keep = value_codes == 0
    if not keep.all():
        columns = {name: column.filter(pa.array(keep)) for name, column in columns.items()}
        label = label[keep] if label is not None else None
    return RawBlock(columns, label, 0, int(keep.sum())), rejected


def _check_lines(text: bytes, lines: Lines, layout: Layout) -> Codes:
    """(R,) codes of the rules that the bytes of a line must keep; the rules come in the order of `REASONS`."""
    codes = np.zeros(len(lines.starts), dtype=np.uint8)

    def reject(rows: npt.NDArray[np.bool_] | list[int], reason: str) -> None:
        marked = np.zeros(len(codes), dtype=bool)
        marked[rows] = True
        codes[marked & (codes == 0)] = _REASON_CODES.index(reason)

    long_lines: list[int] = np.flatnonzero(lines.ends - lines.starts > LONGEST_VALUE).tolist()
    reject([row for row in long_lines if _longest(lines, row) > LONGEST_VALUE], "too_long")
    if not text.isascii() and not _is_utf8(text):
        spans = zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)
        reject([row for row, (start, end) in enumerate(spans) if not _is_utf8(text[start:end])], "encoding")
    if b"\r" in text:
        returns = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\r"))
        reject(list(np.searchsorted(lines.ends, returns)), "carriage_return")
    if lines.badly_quoted is not None:
        reject(lines.badly_quoted, "quote")
    reject(lines.columns != len(layout.names), "columns")
    return codes


def _longest(lines: Lines, row: int) -> int:
    """Bytes of a line's longest value."""
    first, last = np.searchsorted(lines.separators, [lines.starts[row], lines.ends[row]])
    edges = np.concatenate([[lines.starts[row] - 1], lines.separators[first:last], [lines.ends[row]]])
    return int(np.diff(edges).max()) - 1


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _keep_lines(text: bytes, lines: Lines, keep: npt.NDArray[np.bool_]) -> bytes:
    if keep.all():
        return text
    data = np.frombuffer(text, dtype=np.uint8)
    return data[np.repeat(keep, lines.ends - lines.starts + 1)].tobytes()


def _parse(text: bytes, layout: Layout, schema: Schema, require_label: bool) -> pa.Table:
    wanted = [schema.label, *schema.input_columns] if require_label else list(schema.input_columns)
    types = {name: pa.string() for name in wanted}
    if not text:
        return pa.table({name: pa.array([], type=pa.string()) for name in wanted})
    return pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(
            column_names=list(layout.names),
            block_size=max(_PARSER_BYTES, 2 * (LONGEST_VALUE + 1) * len(layout.names)),  # at least one whole line
            use_threads=False,  # threads work on whole blocks of rows already (`in_order`)
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=layout.separator.decode(),
            quote_char=QUOTE if layout.quoted else False,
            double_quote=layout.quoted,
            escape_char=False,
            newlines_in_values=False,
            ignore_empty_lines=False,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False,  # done on whole lines already
            column_types=types,
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _labels(column: pa.Array) -> npt.NDArray[np.int8]:
    """(R,) 0 or 1, and -1 where the text is neither."""
    is_one = pc.equal(column, "1").fill_null(False).to_numpy(zero_copy_only=False)
    is_zero = pc.equal(column, "0").fill_null(False).to_numpy(zero_copy_only=False)
    return np.where(is_one, 1, np.where(is_zero, 0, -1)).astype(np.int8)


def _check_values(columns: dict[str, pa.Array], label: npt.NDArray[np.int8] | None, schema: Schema) -> Codes:
    """(R,) codes of the rules that values must keep, the first rule broken counts."""
    rows = len(next(iter(columns.values())))
    codes = np.zeros(rows, dtype=np.uint8)
    for field in reversed(schema.id_fields):
        if field.part is not None:
            codes[bad_times(columns[field.source], field)] = _REASON_CODES.index("time")
    for name in schema.numeric_names:
        codes[parse_numbers(columns[name])[1]] = _REASON_CODES.index("number")
    if label is not None:
        codes[label < 0] = _REASON_CODES.index("label")
    return codes
