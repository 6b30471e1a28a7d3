"""Text of a cell -> number, or part of a time. Whole columns, and single values for online scoring, by one rule.

A number is decimal text, `-12`, `3.5`, `1e-3`, finite and within float32. No spaces, no hexadecimal, no `nan`.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ctrfast.schema import IdField

LONGEST_VALUE = 4096  # bytes; an id of that length is a broken file, not an id

LARGEST = float(np.finfo(np.float32).max)
# Exactly what arrow's text-to-double cast takes, `nan` and `inf` apart; a test holds the two together.
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_IS_NUMBER = re.compile(_NUMBER).fullmatch

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def parse_numbers(column: pa.Array) -> tuple[Floats, Mask]:
    """Numbers of a text (or number) column.

    Returns:
        values (R,) float64, NaN where missing or bad; bad (R,) bool, true where there is text but no usable number.
    """
    if pa.types.is_dictionary(column.type):  # a column that is an id field, too
        column = column.dictionary_decode()
    try:
        values = _as_floats(column)
    except pa.ArrowInvalid:
        # The cast names no rows, so find them. Rare: only blocks with a bad cell come here.
        fits = pc.match_substring_regex(column, f"^(?:{_NUMBER})$")
        values = _as_floats(pc.if_else(fits, column, pa.scalar(None, column.type)))
    bad = column.is_valid().to_numpy(zero_copy_only=False) & ~(np.abs(values) <= LARGEST)
    values[bad] = np.nan
    return values, bad


def parse_number(text: str) -> float | None:
    """One number from text; None where it is none. The same rule as `parse_numbers`."""
    if _IS_NUMBER(text) is None:
        return None
    value = float(text)
    return value if abs(value) <= LARGEST else None


def bad_times(column: pa.Array, field: IdField) -> Mask:
    """(R,) bool: true where a text column holds something that does not fit the field's time format."""
    encoded = column.dictionary_encode()
    values: list[str] = encoded.dictionary.to_pylist()
    bad_values = np.array([time_part(value, field) is None for value in values] + [False])  # last: missing
    if not bad_values.any():
        return np.zeros(len(column), dtype=bool)
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    bad: Mask = bad_values[codes]
    return bad


def time_part(text: str, field: IdField) -> str | None:
    """Hour of day "0" to "23", or weekday "0" (Monday) to "6"; None where the text does not fit the format."""
    return _time_part(text, field.time_format or "", field.part or "")


@lru_cache(maxsize=65536)
def _time_part(text: str, time_format: str, part: str) -> str | None:
    try:
        time = datetime.strptime(text, time_format)
    except ValueError:
        return None
    return str(time.hour if part == "hour_of_day" else time.weekday())


def _as_floats(column: pa.Array) -> Floats:
    floats = column.cast(pa.float64())
    values: Floats = np.array(floats.to_numpy(zero_copy_only=False), dtype=np.float64)  # nulls -> NaN; own memory
    return values
