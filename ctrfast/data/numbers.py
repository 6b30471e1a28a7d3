"""Columns of decimal text -> float64, each value the nearest to its text.

Up to 15 digits with an exponent of at most 22 either way, the value is one exact whole number times or divided by one
exact power of ten: a single rounding (Clinger 1990, "How to read floating point numbers accurately", section 3). The
few other texts go through Python's `float`, which rounds as well. `ctrfast.data.cells.parse_number` is the rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import LARGEST, Bytes, Cells, Mask, Places
from ctrfast.data.compiled import compiled

Floats = npt.NDArray[np.float64]

_POWERS = np.array([float(10**power) for power in range(23)])  # exact in float64
_NUMBER, _BAD, _HARD = 0, 1, 2
_MOST_DIGITS = 15


def parse_numbers(cells: Cells) -> tuple[Floats, Mask]:
    """Numbers of R cells.

    Returns:
        values (R,) float64, NaN where missing or bad; bad (R,) bool, true where there is text but no usable number.
    """
    values = np.empty(len(cells), np.float64)
    kinds = np.empty(len(cells), np.uint8)
    _parse(cells.text, cells.starts, cells.ends, values, kinds)
    for row in np.flatnonzero(kinds == _HARD).tolist():
        values[row] = float(cells.text[cells.starts[row] : cells.ends[row]].tobytes())
    bad: Mask = (kinds == _BAD) | (np.abs(values) > LARGEST)
    values[bad] = np.nan
    return values, bad


def numbers_of(column: pa.Array) -> tuple[Floats, Mask]:
    """The same for an arrow column of text, dictionary of text, or numbers; large ones are rounded as their text is."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values: Floats = np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        bad: Mask = column.is_valid().to_numpy(zero_copy_only=False) & ~(np.abs(values) <= LARGEST)
        values[bad] = np.nan
        return values, bad
    return parse_numbers(Cells.of(column))


@compiled
def _parse(text: Bytes, starts: Places, ends: Places, values: Floats, kinds: Bytes) -> None:
    for row in range(len(starts)):
        place, end = starts[row], ends[row]
        kinds[row] = _NUMBER
        if place == end:
            values[row] = np.nan
            continue
        is_negative = text[place] == 45  # -
        if is_negative or text[place] == 43:  # +
            place += 1
        whole, digits, seen, exponent, is_fraction = np.int64(0), 0, 0, 0, False
        while place < end:
            byte = text[place]
            if 48 <= byte <= 57:
                seen += 1
                if digits > 0 or byte > 48:
                    digits += 1
                    if digits <= _MOST_DIGITS:
                        whole = whole * 10 + (byte - 48)
                if is_fraction:
                    exponent -= 1
            elif byte == 46 and not is_fraction:  # .
                is_fraction = True
            else:
                break
            place += 1
        if seen == 0:
            kinds[row] = _BAD
            values[row] = np.nan
            continue
        if place < end and (text[place] == 101 or text[place] == 69):  # e E
            place += 1
            is_small = place < end and text[place] == 45
            if place < end and (text[place] == 45 or text[place] == 43):
                place += 1
            power, power_digits = 0, 0
            while place < end and 48 <= text[place] <= 57:
                power = min(power * 10 + (text[place] - 48), 1_000_000)
                power_digits += 1
                place += 1
            if power_digits == 0:
                place = -1
            exponent += -power if is_small else power
        if place != end:
            kinds[row] = _BAD
            values[row] = np.nan
            continue
        if digits > _MOST_DIGITS or exponent > 22 or exponent < -22:
            kinds[row] = _HARD
            values[row] = 0.0
            continue
        value = whole * _POWERS[exponent] if exponent >= 0 else whole / _POWERS[-exponent]
        values[row] = -value if is_negative else value
