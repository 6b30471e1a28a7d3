"""JSON-like rows -> texts per id field and numbers per numeric field, each value checked.

    {"I1": 3, "C1": "68fd1e64", "C2": 17}      numbers or numeric text; ids: text, or whole numbers (their decimal text)
    {"history": ["a", 17]}, {"history": "a|17"}      lists of ids

Absent, None and "" mean missing. The label and the columns that no field uses are taken and ignored, so that a row of
the raw log can be scored as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from ctrfast.data.buckets import bucket_numbers, bucket_texts
from ctrfast.data.cells import LARGEST, LONGEST_VALUE, parse_number, time_part
from ctrfast.data.lists import LONGEST_LIST, Counts, split_text
from ctrfast.errors import DataError
from ctrfast.schema import IdField, Schema

_SURELY_SHORT = 1024


class RowReader:
    """Reads rows under one schema. edges: of its fields of quantile buckets."""

    def __init__(self, schema: Schema, edges: Mapping[str, npt.NDArray[np.float64]] | None = None) -> None:
        self._schema = schema
        self._known = frozenset(schema.columns)
        self._id_fields = [(field.source, field) for field in schema.id_fields]
        self._numeric_sources = [field.source for field in schema.numeric_fields]
        self._edges = edges or {}

    def read(
        self, rows: Sequence[Mapping[str, object]]
    ) -> tuple[list[list[str | None]], npt.NDArray[np.float64], dict[str, Counts]]:
        """Check and take apart R rows.

        Returns:
            texts: per id field, R texts (None = missing), or all values of R lists. numbers: (R, N) float64, NaN =
            missing. counts: by field of lists, the length of each (R,).

        Raises:
            DataError: a row is no mapping, a name is unknown, or a value has the wrong type; `path` is "row.field".
        """
        for row, values in enumerate(rows):
            if not isinstance(values, Mapping):
                raise _error(row, None, f"must hold values by name. Got {type(values).__name__}")
            if not values.keys() <= self._known:
                self._refuse_unknown(row, values)
        texts: list[list[str | None]] = []
        counts: dict[str, Counts] = {}
        for source, field in self._id_fields:
            if field.bucket is not None:
                column_numbers = np.array(
                    [_number(values.get(source), row, source) for row, values in enumerate(rows)], dtype=np.float64
                )
                texts.append(bucket_texts(bucket_numbers(column_numbers, field, self._edges.get(field.name))))
                continue
            if field.separator is not None:
                lists = [_list(values.get(source), row, field) for row, values in enumerate(rows)]
                counts[field.name] = np.array([len(found) for found in lists], np.int64)
                texts.append([text for found in lists for text in found])
                continue
            column = [_text(values.get(source), row, source) for row, values in enumerate(rows)]
            texts.append(column if field.part is None else _parts(column, field))
        numbers = [
            [_number(values.get(name), row, name) for name in self._numeric_sources] for row, values in enumerate(rows)
        ]
        return texts, np.array(numbers, dtype=np.float64).reshape(len(rows), len(self._numeric_sources)), counts

    def _refuse_unknown(self, row: int, values: Mapping[str, object]) -> None:
        name = next(name for name in values if name not in self._known)
        near = difflib.get_close_matches(str(name), self._schema.columns, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(self._schema.input_columns)}."
        raise DataError(f"Row {row}: there is no column {str(name)[:100]!r}. {hint}", path=f"{row}.{name}")


def _parts(texts: list[str | None], field: IdField) -> list[str | None]:
    parts: list[str | None] = []
    for row, text in enumerate(texts):
        part = None if text is None else time_part(text, field)
        if part is None and text is not None:
            raise _error(row, field.source, f"must be a time written as {field.time_format}. Got {_shown(text)}")
        parts.append(part)
    return parts


def _list(value: object, row: int, field: IdField) -> list[str | None]:
    name = field.source
    if isinstance(value, list | tuple):
        value = (field.separator or "").join(_text(item, row, name, LONGEST_LIST) or "" for item in value)
    return split_text(_text(value, row, name, LONGEST_LIST), field)


def _text(value: object, row: int, name: str, longest: int = LONGEST_VALUE) -> str | None:
    if type(value) is str:  # the common case first: this runs once per cell of every online request
        if 0 < len(value) <= _SURELY_SHORT and value.isascii():
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
