"""Text of whole lines -> where each wanted value lies, and which lines break a rule. One pass over the bytes.

A line is refused, for the first of these reasons that fits, if a value is longer than the layout's `longest`, if it is
not UTF-8, if a carriage return stands in it, if its quotes are not in order, or if its number of columns is wrong.
Quotes are looked at in files whose layout has them: a value may stand in double quotes, in which a doubled quote stands
for one; a quote opens after a separator or at the line's start, and closes before a separator or the line's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ctrfast.data.cells import Bytes, Cells, Mask, Places
from ctrfast.data.compiled import compiled
from ctrfast.data.layout import Layout
from ctrfast.data.rejects import REASONS

CODES = ("", *REASONS)  # a line's code is its place here; 0 = the line is good
_TOO_LONG, _ENCODING, _RETURN, _QUOTE, _COLUMNS = (
    CODES.index(reason) for reason in ("too_long", "encoding", "carriage_return", "quote", "columns")
)
_NEWLINE, _CARRIAGE_RETURN, _QUOTE_MARK = 10, 13, 34

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tokens:
    """R lines. cells: by wanted column; those of refused lines mean nothing. line_starts, line_ends: (R,).

    codes: (R,) places in `CODES`. columns: (R,) how many each line has. numbers: columns that hold numbers already have
    no cells: (R,) values, NaN where missing or bad, and (R,) which are bad.
    """

    cells: dict[str, Cells]
    codes: Codes
    columns: Places
    line_starts: Places
    line_ends: Places
    numbers: dict[str, tuple[npt.NDArray[np.float64], Mask]] = field(default_factory=dict)


def tokenize(text: bytes, layout: Layout, wanted: tuple[str, ...]) -> Tokens:
    """Find the values of the wanted columns. The text ends with a newline."""
    data = np.frombuffer(text, np.uint8).copy()  # quoted values are unquoted in place
    line_ends: Places = np.flatnonzero(data == _NEWLINE)
    R = len(line_ends)
    slots = np.array([wanted.index(name) if name in wanted else -1 for name in layout.names], np.int64)
    starts, ends = np.zeros((len(wanted), R), np.int64), np.zeros((len(wanted), R), np.int64)
    codes, columns = np.zeros(R, np.uint8), np.zeros(R, np.int64)
    is_special = np.arange(256) >= 128
    is_special[[_NEWLINE, _CARRIAGE_RETURN, layout.separator[0]]] = True
    is_special[_QUOTE_MARK] |= layout.quoted
    _scan(data, line_ends, layout.separator[0], layout.longest, is_special, slots, starts, ends, codes, columns)
    cells = {name: Cells(data, starts[slot], ends[slot]) for slot, name in enumerate(wanted)}
    line_starts: Places = np.concatenate((np.zeros(1, np.int64), line_ends[:-1] + 1))
    return Tokens(cells, codes, columns, line_starts, line_ends)


@compiled
def _scan(
    text: Bytes,
    line_ends: Places,
    separator: int,
    most_bytes: int,
    is_special: Mask,
    slots: Places,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    codes: Codes,
    columns: Places,
) -> None:
    start = 0
    for row in range(len(line_ends)):
        end = line_ends[row]
        column, first, longest = 0, start, 0
        is_ascii, has_return, is_inside, is_badly_quoted, has_quotes = True, False, False, False, False
        place = start
        while True:
            while not is_special[text[place]]:
                place += 1
            byte = text[place]
            if byte == _NEWLINE or (byte == separator and not is_inside):
                longest = max(longest, place - first)
                if column < len(slots) and slots[column] >= 0:
                    starts[slots[column], row] = first
                    ends[slots[column], row] = place
                column += 1
                first = place + 1
                if byte == _NEWLINE:
                    break
            elif byte >= 128:
                is_ascii = False
            elif byte == _CARRIAGE_RETURN:
                has_return = True
            elif byte == _QUOTE_MARK:
                has_quotes = True
                beside = text[place + 1] if is_inside else (text[place - 1] if place > start else np.uint8(_NEWLINE))
                if beside != separator and beside != _NEWLINE and beside != _QUOTE_MARK:
                    is_badly_quoted = True
                is_inside = not is_inside
            place += 1
        columns[row] = column
        if longest > most_bytes:
            codes[row] = _TOO_LONG
        elif not is_ascii and not is_utf8(text, start, end):
            codes[row] = _ENCODING
        elif has_return:
            codes[row] = _RETURN
        elif is_badly_quoted or is_inside:
            codes[row] = _QUOTE
        elif column != len(slots):
            codes[row] = _COLUMNS
        elif has_quotes:
            _unquote(text, starts[:, row], ends[:, row])
        start = end + 1


@compiled
def _unquote(text: Bytes, starts: Places, ends: Places) -> None:
    for slot in range(len(starts)):
        start, end = starts[slot], ends[slot]
        if end - start < 2 or text[start] != _QUOTE_MARK:
            continue
        out, place = start + 1, start + 1
        while place < end - 1:
            text[out] = text[place]
            place += 2 if text[place] == _QUOTE_MARK else 1
            out += 1
        starts[slot], ends[slot] = start + 1, out


@compiled
def is_utf8(text: Bytes, start: int, end: int) -> bool:
    """Whether bytes are UTF-8 (RFC 3629, section 4: no overlong form, no surrogate, nothing beyond U+10FFFF)."""
    place = start
    while place < end:
        byte = text[place]
        if byte < 0x80:
            place += 1
            continue
        low, high = 0x80, 0xBF  # of the second byte
        if 0xC2 <= byte <= 0xDF:
            more = 1
        elif 0xE0 <= byte <= 0xEF:
            more = 2
            if byte == 0xE0:
                low = 0xA0
            elif byte == 0xED:
                high = 0x9F
        elif 0xF0 <= byte <= 0xF4:
            more = 3
            if byte == 0xF0:
                low = 0x90
            elif byte == 0xF4:
                high = 0x8F
        else:
            return False
        if place + more >= end:
            return False
        if not low <= text[place + 1] <= high:
            return False
        for next_ in range(place + 2, place + more + 1):
            if not 0x80 <= text[next_] <= 0xBF:
                return False
        place += more + 1
    return True
