"""Columns of JSON-like values -> texts of an id field, and numbers of the numeric fields, each value checked.

    {"I1": [3, None], "C1": ["68fd1e64", 17]}   numbers or their text; ids: text, or whole numbers (their decimal text)
    {"history": [["a", 17], "a|17"]}            lists of ids

None and "" mean missing. Errors name the row and the column of a value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from ctrfast.data.buckets import bucket_numbers, bucket_texts
from ctrfast.data.cells import LARGEST, LONGEST_VALUE, parse_number, time_part
from ctrfast.data.lists import LONGEST_LIST, split_text
from ctrfast.errors import DataError
from ctrfast.schema import IdField, Schema

Floats = npt.NDArray[np.float64]

_SURELY_SHORT = 1024
_PLAIN_NUMBERS = frozenset({int, float, type(None)})


@dataclass(frozen=True, slots=True)
class Repeated:
    """A column that has one value in every row: what it becomes is worked out once."""

    value: object


Column = Sequence[object] | Repeated


def columns_of(rows: Sequence[Mapping[str, object]], schema: Schema) -> dict[str, Sequence[object]]:
    """Rows of values by name as columns; a name that a row lacks is missing there.

    The label and the columns that no field uses are taken too, so that a row of the raw log can be scored as it is.

    Raises:
        DataError: a row is no mapping, or a name is unknown.
    """
    known = frozenset(schema.columns)
    for row, values in enumerate(rows):
        if not isinstance(values, Mapping):
            raise _error(row, None, f"must hold values by name. Got {type(values).__name__}")
        if not values.keys() <= known:
            raise unknown_column(next(name for name in values if name not in known), schema, row)
    return {name: [values.get(name) for values in rows] for name in schema.columns}


def unknown_column(name: str, schema: Schema, row: int) -> DataError:
    """A column that the schema does not have."""
    near = difflib.get_close_matches(str(name), schema.columns, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(schema.input_columns)}."
    return DataError(f"Row {row}: there is no column {str(name)[:100]!r}. {hint}", path=f"{row}.{name}")


def read_texts(
    values: Iterable[object], rows: Iterable[int], field: IdField, edges: Floats | None
) -> list[list[str | None]]:
    """Texts of one id field (None = missing), in a list for each row: one text, or those of a field of lists.

    Args:
        values: one for each of `rows`.
        rows: their numbers, for errors.
        field: the id field.
        edges: of its quantile buckets, where it has them.

    Raises:
        DataError: a value has the wrong type or is too long; `path` is "row.column".
    """
    name = field.source
    if field.bucket is not None:
        numbers = np.array([_number(value, row, name) for value, row in zip(values, rows, strict=True)], np.float64)
        return [[text] for text in bucket_texts(bucket_numbers(numbers, field, edges))]
    if field.separator is not None:
        return [_list(value, row, field) for value, row in zip(values, rows, strict=True)]
    if field.part is not None:
        return [[_part(_text(value, row, name), row, field)] for value, row in zip(values, rows, strict=True)]
    return [[_text(value, row, name)] for value, row in zip(values, rows, strict=True)]


def read_numbers(columns: Mapping[str, Column], names: Sequence[str], rows: int) -> Floats:
    """Numbers (R, N) of columns by name, NaN where missing. Raises DataError: a value is no finite number."""
    if not names:
        return np.empty((rows, 0))
    values = [_expanded(columns.get(name), rows) for name in names]
    if _PLAIN_NUMBERS.issuperset(map(type, chain.from_iterable(values))):  # the common case, without a call for a cell
        missing = sum(column.count(None) for column in values)
        try:
            numbers = np.array(values, np.float64).T  # None becomes NaN
        except OverflowError:
            pass  # a whole number beyond float64: the way below says which
        else:
            if np.count_nonzero(np.abs(numbers) <= LARGEST) == numbers.size - missing:
                return numbers
    checked = [
        [_number(value, row, name) for row, value in enumerate(column)]
        for name, column in zip(names, values, strict=True)
    ]
    return np.array(checked, np.float64).T


def _expanded(column: Column | None, rows: int) -> Sequence[object]:
    if column is None:
        return (None,) * rows
    return (column.value,) * rows if isinstance(column, Repeated) else column


def _part(text: str | None, row: int, field: IdField) -> str | None:
    part = None if text is None else time_part(text, field)
    if part is None and text is not None:
        raise _error(row, field.source, f"must be a time written as {field.time_format}. Got {_shown(text)}")
    return part


def _list(value: object, row: int, field: IdField) -> list[str | None]:
    name = field.source
    if isinstance(value, list | tuple):
        value = (field.separator or "").join(_text(item, row, name, LONGEST_LIST) or "" for item in value)
    return split_text(_text(value, row, name, LONGEST_LIST), field)


def is_plain(value: object) -> bool:
    """Whether a value is a text that can be taken as it is: the common case."""
    return type(value) is str and 0 < len(value) <= _SURELY_SHORT and (value.isascii() or _is_unicode(value))


def is_whole(value: object) -> bool:
    """Whether a value is a whole number whose decimal text is an id's."""
    return type(value) is int and abs(value) < 2**127


def _text(value: object, row: int, name: str, longest: int = LONGEST_VALUE) -> str | None:
    if type(value) is str:
        if is_plain(value):
            return value
        if value == "":
            return None
        if not value.isascii() and not _is_unicode(value):
            raise _error(row, name, "must be text that UTF-8 can write. Got a lone surrogate")
        if len(value.encode()) > longest:
            raise _error(row, name, f"must be at most {longest} bytes long. Got {len(value.encode())}")
        return value
    if value is None:
        return None
    if isinstance(value, str):
        return _text(str(value), row, name, longest)
    if isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) < 2**127:
        return str(int(value))
    raise _error(row, name, f"must be text or a whole number. Got {_shown(value)}")


def _number(value: object, row: int, name: str) -> float:
    if value is None or value == "":
        return np.nan
    number: float | None = None
    if type(value) is float or type(value) is int:  # first: the common case, and isinstance of Real is slow
        number = _as_float(value)
    elif isinstance(value, str):
        number = parse_number(value)
    elif isinstance(value, Real) and not isinstance(value, bool):
        number = _as_float(value)
    if number is None or not abs(number) <= LARGEST:
        raise _error(row, name, f"must be a finite number. Got {_shown(value)}")
    return number


def _as_float(value: Real | int | float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, bool | int | float | str):
        return f"{kind} {repr(value)[:100]}" if not isinstance(value, int) or abs(value) < 2**127 else f"a huge {kind}"
    return kind


def _error(row: int, name: str | None, problem: str) -> DataError:
    if name is None:
        return DataError(f"Row {row} {problem}.", path=str(row))
    return DataError(f"Row {row}: `{name}` {problem}. Correct it, or leave it out.", path=f"{row}.{name}")
