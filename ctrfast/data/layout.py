"""Where a raw file keeps its columns: by position, or by the names of its header line.

Quoted values are understood in files whose separator is a comma or a semicolon; tab-separated logs are never quoted.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctrfast.data.cells import LONGEST_VALUE
from ctrfast.data.lists import longest_cell
from ctrfast.errors import ConfigError, DataError
from ctrfast.schema import Schema

QUOTE = '"'


@dataclass(frozen=True)
class Layout:
    """Columns of one raw file, in file order.

    names: of every column. header: whether line 1 names them. separator: one byte.
    quoted: whether values may stand in double quotes. longest: bytes that a value may have.
    """

    names: tuple[str, ...]
    header: bool
    separator: bytes
    quoted: bool
    longest: int = LONGEST_VALUE


def find_layout(
    schema: Schema, first_line: bytes, file: object, *, require_label: bool, also: tuple[str, ...] = ()
) -> Layout:
    """Tell the layout of a file from its first line. also: columns that it must have beside label and inputs.

    Raises:
        ConfigError: the schema's separator cannot separate.
        DataError: the header lacks columns (all are named) or names one twice.
    """
    if not schema.separator.isascii() or schema.separator in '\r\n"':
        raise ConfigError(
            f"`separator` must be one ASCII character, neither a line end nor a quote. Got {schema.separator!r}.",
            path="separator",
        )
    separator, quoted, longest = schema.separator.encode(), schema.separator in ",;", longest_cell(schema)
    if schema.header:
        names = _header_names(first_line, schema.separator, quoted)
        _require_columns(schema, names, file, require_label=require_label, also=also)
        return Layout(names, True, separator, quoted, longest)
    unlabelled = tuple(name for name in schema.columns if name not in schema.labels)
    if not require_label and _count_columns(first_line, separator, quoted) == len(unlabelled):
        return Layout(unlabelled, False, separator, quoted, longest)
    return Layout(schema.columns, False, separator, quoted, longest)


def _count_columns(line: bytes, separator: bytes, quoted: bool) -> int:
    """Columns of a line; a separator inside quotes is part of a value."""
    outside = b"".join(line.split(QUOTE.encode())[::2]) if quoted else line
    return outside.count(separator) + 1


def _header_names(line: bytes, separator: str, quoted: bool) -> tuple[str, ...]:
    names = line.decode("utf-8", errors="replace").rstrip("\n").split(separator)
    return tuple(name.strip().strip(QUOTE) if quoted else name.strip() for name in names)


def _require_columns(
    schema: Schema, names: tuple[str, ...], file: object, *, require_label: bool, also: tuple[str, ...]
) -> None:
    labels = schema.labels if require_label else ()
    wanted = tuple(dict.fromkeys((*labels, *schema.input_columns, *also)))
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"The header of {file} must name each column that the schema uses. It lacks {', '.join(missing)}. "
            f"Check the file, its separator ({schema.separator!r}) and the schema."
        )
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"The header of {file} names {', '.join(twice)} more than once. Keep one column of each name.")
