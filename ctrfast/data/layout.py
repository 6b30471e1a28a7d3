"""Where a raw file keeps its columns: by position, or by the names of its header line.

Rows are then checked by counting separators, a block of lines at a time; quoted values are understood in files whose
separator is a comma or a semicolon, while tab-separated logs are never quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctrfast.errors import ConfigError, DataError
from ctrfast.schema import Schema

QUOTE = '"'
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Columns of one raw file, in file order.

    names: of every column. header: whether line 1 names them. separator: one byte.
    quoted: whether values may stand in double quotes.
    """

    names: tuple[str, ...]
    header: bool
    separator: bytes
    quoted: bool


@dataclass(frozen=True)
class Lines:
    """Shape of a block of R lines. starts, ends: (R,) byte positions, newline excluded. columns: (R,) how many.

    separators: byte positions of those between columns, over all lines.
    badly_quoted: (R,) lines with a quote that does not open or close a value; None where there is no quote at all.
    """

    starts: Positions
    ends: Positions
    columns: Positions
    separators: Positions
    badly_quoted: Mask | None


def find_layout(schema: Schema, first_line: bytes, file: Path, *, require_label: bool) -> Layout:
    """Tell the layout of a file from its first line.

    Raises:
        ConfigError: the schema's separator cannot separate.
        DataError: the header lacks columns (all are named) or names one twice.
    """
    if not schema.separator.isascii() or schema.separator in '\r\n"':
        raise ConfigError(
            f"`separator` must be one ASCII character, neither a line end nor a quote. Got {schema.separator!r}.",
            path="separator",
        )
    separator, quoted = schema.separator.encode(), schema.separator in ",;"
    if schema.header:
        names = _header_names(first_line, schema.separator, quoted)
        _require_columns(schema, names, file, require_label=require_label)
        return Layout(names, True, separator, quoted)
    unlabelled = tuple(name for name in schema.columns if name != schema.label)
    columns = int(measure(first_line, separator, quoted).columns[0])
    if not require_label and columns == len(unlabelled):
        return Layout(unlabelled, False, separator, quoted)
    return Layout(schema.columns, False, separator, quoted)


def measure(text: bytes, separator: bytes, quoted: bool) -> Lines:
    """Find lines and count their columns. The text ends with a newline."""
    data = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    separators = np.flatnonzero(data == ord(separator))
    badly_quoted = None
    if quoted and QUOTE.encode() in text:
        separators, badly_quoted = _outside_quotes(data, starts, ends, separators)
    before = np.searchsorted(separators, ends)
    return Lines(starts, ends, np.diff(before, prepend=0) + 1, separators, badly_quoted)


def _outside_quotes(
    data: npt.NDArray[np.uint8], starts: Positions, ends: Positions, separators: Positions
) -> tuple[Positions, Mask]:
    """Separators that are not inside quotes, and the lines whose quotes are not in order.

    Within a line quotes alternate: one opens, the next closes. An opening one follows a separator, the line's start or
    a quote (a doubled quote stands for itself); a closing one comes before a separator, the line's end or a quote.
    """
    quotes = np.flatnonzero(data == ord(QUOTE))
    first_of_line = np.searchsorted(quotes, starts)
    line_of_quote = np.searchsorted(ends, quotes)
    opens = (np.arange(len(quotes)) - first_of_line[line_of_quote]) % 2 == 0
    separator = data[separators[0]] if len(separators) else ord("\n")
    edges = np.array([separator, ord("\n"), ord(QUOTE)], dtype=np.uint8)
    before = np.where(quotes == 0, ord("\n"), data[np.maximum(quotes - 1, 0)])
    in_order = np.where(opens, np.isin(before, edges), np.isin(data[quotes + 1], edges))
    badly_quoted = np.zeros(len(starts), dtype=bool)
    badly_quoted[line_of_quote[~in_order]] = True
    count = np.diff(np.searchsorted(quotes, ends), prepend=0)
    badly_quoted |= count % 2 == 1
    line_of_separator = np.searchsorted(ends, separators)
    inside = (np.searchsorted(quotes, separators) - first_of_line[line_of_separator]) % 2 == 1
    return separators[~inside], badly_quoted


def _header_names(line: bytes, separator: str, quoted: bool) -> tuple[str, ...]:
    names = line.decode("utf-8", errors="replace").rstrip("\n").split(separator)
    return tuple(name.strip().strip(QUOTE) if quoted else name.strip() for name in names)


def _require_columns(schema: Schema, names: tuple[str, ...], file: Path, *, require_label: bool) -> None:
    wanted = (schema.label, *schema.input_columns) if require_label else schema.input_columns
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"The header of {file} must name each column that the schema uses. It lacks {', '.join(missing)}. "
            f"Check the file, its separator ({schema.separator!r}) and the schema."
        )
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"The header of {file} names {', '.join(twice)} more than once. Keep one column of each name.")
