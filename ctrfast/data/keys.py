"""Texts of ids -> 64-bit keys, so that counting and looking up never handles text.

    nothing                                  0: missing
    1 to 7 bytes                             the bytes, and their number in the top byte
    8 to 14 digits of lower-case hexadecimal the number, and 16 + digits in the top byte (Criteo's and Avazu's ids)
    15 or 16 decimal digits                  the number, and 32 + digits in the top byte
    all else                                 a hash with the highest bit set; the text is kept beside it

The first kinds read back as text (`texts_of`). Two of n hashed texts share a key with probability n^2 / 2^64: 1e-7 for
a million distinct ones in a field.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import Bytes, Cells, Places
from ctrfast.data.compiled import compiled

Keys = npt.NDArray[np.uint64]

MISSING_KEY = 0
HASHED = np.uint64(1 << 63)
_CACHED_ROWS = 1024
_TOP = np.uint64(56)
_LOW = np.uint64((1 << 56) - 1)
_LONGEST_PACKED, _LONGEST_HEX, _LONGEST_DECIMAL = 7, 14, 16
_HEX, _DECIMAL = 16, 32  # added to the number of digits in the top byte
_NO_DIGIT = 255
_DIGITS = np.full(256, _NO_DIGIT, np.uint64)  # what each byte is worth as a digit of lower-case hexadecimal
_DIGITS[ord("0") : ord("9") + 1] = np.arange(10)
_DIGITS[ord("a") : ord("f") + 1] = np.arange(10, 16)
_FACTOR_1, _FACTOR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT, _EIGHT, _FOUR = np.uint64(33), np.uint64(8), np.uint64(4)


def keys_of(cells: Cells) -> Keys:
    """Keys (R,) of R cells."""
    keys = np.empty(len(cells), np.uint64)
    _fill(cells.text, cells.starts, cells.ends, keys)
    return keys


def keys_of_columns(columns: Sequence[Cells]) -> list[Keys]:
    """Keys (R,) of each column of the same R rows: a few rows at a time, whose text is then in the cache."""
    if not columns:
        return []
    R = len(columns[0])
    keys = [np.empty(R, np.uint64) for _ in columns]
    for first in range(0, R, _CACHED_ROWS):
        rows = slice(first, first + _CACHED_ROWS)
        for cells, out in zip(columns, keys, strict=True):
            _fill(cells.text, cells.starts[rows], cells.ends[rows], out[rows])
    return keys


def is_hashed(keys: Keys) -> npt.NDArray[np.bool_]:
    """(R,) whether the text cannot be read from the key."""
    return keys >= HASHED


def texts_of(keys: Keys) -> Cells:
    """Texts of R keys; those of hashed keys are empty."""
    lengths = np.empty(len(keys), np.int64)
    text = np.empty(len(keys) * _LONGEST_DECIMAL, np.uint8)
    _read(keys, text, lengths)
    starts: Places = np.arange(len(keys), dtype=np.int64) * _LONGEST_DECIMAL
    return Cells(text, starts, starts + lengths)


def arrow_texts(keys: Keys) -> pa.Array:
    """Texts (R,) of keys that are not hashed, as an arrow column."""
    return texts_of(keys).to_arrow()


@compiled
def mix(key: np.uint64) -> np.uint64:
    """A bijection of 64 bits that spreads them (the finaliser of MurmurHash3, Appleby 2011)."""
    key = (key ^ (key >> _SHIFT)) * _FACTOR_1
    key = (key ^ (key >> _SHIFT)) * _FACTOR_2
    return key ^ (key >> _SHIFT)


@compiled
def _fill(text: Bytes, starts: Places, ends: Places, keys: Keys) -> None:
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        length = end - start
        if length <= _LONGEST_PACKED:
            key = np.uint64(length) << _TOP
            for place in range(length):
                key |= np.uint64(text[start + place]) << np.uint64(8 * place)
            keys[row] = key
            continue
        if length <= _LONGEST_DECIMAL:
            hexadecimal, decimal, largest = np.uint64(0), np.uint64(0), np.uint64(0)
            for place in range(start, end):  # without a branch: digits of ids are random
                digit = _DIGITS[text[place]]
                largest |= digit
                hexadecimal = (hexadecimal << _FOUR) | digit
                decimal = decimal * np.uint64(10) + digit
            if largest < 16 and length <= _LONGEST_HEX:
                keys[row] = hexadecimal | (np.uint64(_HEX + length) << _TOP)
                continue
            if length > _LONGEST_HEX and _is_decimal(text, start, end):
                keys[row] = decimal | (np.uint64(_DECIMAL + length) << _TOP)
                continue
        hashed = mix(np.uint64(length))
        for first in range(start, end, 8):
            word = np.uint64(0)
            for place in range(first, min(first + 8, end)):
                word = (word << _EIGHT) | np.uint64(text[place])
            hashed = mix(hashed ^ mix(word)) + _FACTOR_1
        keys[row] = mix(hashed) | HASHED


@compiled
def _is_decimal(text: Bytes, start: int, end: int) -> bool:
    is_decimal = True
    for place in range(start, end):
        is_decimal &= 48 <= text[place] <= 57
    return is_decimal


@compiled
def _read(keys: Keys, text: Bytes, lengths: Places) -> None:
    for row in range(len(keys)):
        key = keys[row]
        kind = np.int64(key >> _TOP)
        rest = key & _LOW
        start = row * _LONGEST_DECIMAL
        if kind > _DECIMAL + _LONGEST_DECIMAL:
            lengths[row] = 0
        elif kind <= _LONGEST_PACKED:
            lengths[row] = kind
            for place in range(kind):
                text[start + place] = np.uint8(rest >> np.uint64(8 * place))
        else:
            base = np.uint64(16) if kind <= _HEX + _LONGEST_HEX else np.uint64(10)
            length = kind - (_HEX if base == np.uint64(16) else _DECIMAL)
            lengths[row] = length
            for place in range(length - 1, -1, -1):
                digit = np.uint8(rest % base)
                text[start + place] = digit + (48 if digit < 10 else 87)
                rest //= base
