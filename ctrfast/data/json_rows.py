"""Rows of JSON objects, as scoring requests hold them -> local ids and numbers, straight from the bytes.

    rows = JsonRows.of(encoder)                          # None: the schema has fields that this does not handle
    rows.read(b'[{"I1": 3, "C1": "68fd1e64"}]', most=1000)            # ids (1, S), numbers (1, N)

Compiled passes over the bytes find the quotes, then where each value lies; one makes keys of the ids' texts, and one
looks these up. No Python object is made of a value.

It takes the plain cases alone: ASCII without escapes, ids as text or whole numbers, numbers of at most 15 digits and no
exponent, each name once in an object. For all else `read` gives None: the caller reads the body the long way, which
has the same meaning and finds the words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctrfast.data.cells import Bytes, Cells
from ctrfast.data.compiled import compiled
from ctrfast.data.encode import Encoder
from ctrfast.data.keys import MISSING_KEY, keys_of
from ctrfast.id_rows import ABSENT
from ctrfast.schema import MISSING_ID, UNSEEN_ID, Schema

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LONGEST_TEXT = 1024  # bytes; longer ones are measured by `ctrfast.data.rows`
_MOST_DIGITS = 15  # a float64 has them exactly, and so has its quotient by a power of ten one rounding
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)
_UNUSED, _NUMBER, _ID = 0, 1, 2
_NOT_PLAIN = -1
_QUOTE, _COMMA, _COLON, _POINT, _MINUS = (np.uint8(ord(sign)) for sign in '",:.-')
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = (np.uint8(ord(sign)) for sign in "{}[]")
_ZERO, _NINE, _N, _U, _L, _SPACE = (np.uint8(ord(sign)) for sign in "09nul ")
_END = np.uint8(0x7F)  # no part of JSON outside of a text, and taken for none in it
_FACTOR = 31
_QUOTES, _LINE_END, _OTHER = np.uint8(1), np.uint8(2), np.uint8(4)
_SIGNS = np.zeros(256, np.uint8)  # what each byte is: others are no JSON, or a text that is not what it reads as
_SIGNS[:0x20], _SIGNS[ord("\\")], _SIGNS[0x80:] = _OTHER, _OTHER, _OTHER
_SIGNS[[ord(sign) for sign in "\t\n\r"]], _SIGNS[ord('"')] = _LINE_END, _QUOTES


class JsonRows:
    """Reads objects of one schema. Made by `of`.

    Args:
        encoder: has the vocabularies.
        columns: what each of the schema's columns is: `_UNUSED`, `_NUMBER` or `_ID`, and its place among these.
    """

    def __init__(self, encoder: Encoder, columns: Sequence[tuple[int, int]]) -> None:
        schema = encoder.fitted.schema_
        names = [name.encode() for name in schema.columns]
        self._names = np.frombuffer(b"".join(names), np.uint8).copy()
        self._bounds = np.cumsum([0, *map(len, names)])
        self._table = np.full(1 << (4 * len(names)).bit_length(), -1, np.int64)
        _fill_names(self._names, self._bounds, self._table)
        self._kinds, self._places = (np.array(part, np.int64) for part in zip(*columns, strict=True))
        self._ids, self._numbers = len(schema.id_fields), len(schema.numeric_fields)
        self._texts, self._tables = encoder.texts

    @classmethod
    def of(cls, encoder: Encoder) -> JsonRows | None:
        """For an encoder whose id fields are looked up as they are, each column used by one field at most."""
        schema = encoder.fitted.schema_
        columns = _columns(schema)
        return None if columns is None else cls(encoder, columns)

    def read(self, rows: bytes, most: int, shared: bytes = b"{}") -> tuple[Ids, Floats] | None:
        """Local ids (R, S) of a list of R objects, and raw numbers (R, N), NaN where missing.

        Args:
            rows: the list.
            most: rows that are read at all.
            shared: an object of values that hold where a row does not name the column.

        Returns:
            None where the list or the object is not plain, not JSON, empty or too long.
        """
        text = np.frombuffer(bytearray([_END]).join((shared, rows, b"")), np.uint8)
        R = int(np.count_nonzero(text == _OPEN)) - 1  # at least so many as there are objects in the list
        if not 0 < R <= most:
            return None
        quotes_found = int(np.count_nonzero(text == _QUOTE))
        if quotes_found > 4 * len(self._kinds) * (R + 1):  # more than so many names and values have
            return None
        quotes = np.empty(quotes_found + 1, np.int64)
        starts, ends = np.zeros((2, R + 1, self._ids), np.int64)  # of the shared values first; empty where missing
        numbers = np.full((R + 1, self._numbers), np.nan)
        names = (self._names, self._bounds, self._table, self._kinds, self._places)
        R = _scan(text, quotes, *names, starts, ends, numbers)
        if R <= 0:
            return None
        keys = keys_of(Cells(text, starts[1 : R + 1].reshape(-1), ends[1 : R + 1].reshape(-1)))
        ids = self._texts.find_keys(keys, np.tile(self._tables, R))
        _name_absent(ids, keys)
        return ids.reshape(R, self._ids), numbers[1 : R + 1]


def _columns(schema: Schema) -> list[tuple[int, int]] | None:
    columns = dict.fromkeys(schema.columns, (_UNUSED, 0))
    fields = [(field.source, (_NUMBER, place)) for place, field in enumerate(schema.numeric_fields)]
    for place, field in enumerate(schema.id_fields):
        table = schema.table_of(field)
        is_text = (field.separator, field.part, field.bucket, table.hash_buckets) == (None,) * 4
        if not (is_text and table.unseen_buckets == 1):
            return None
        fields.append((field.source, (_ID, place)))
    for source, column in fields:
        if columns[source] != (_UNUSED, 0):
            return None
        columns[source] = column
    return list(columns.values())


@compiled
def _name_absent(ids: Ids, keys: npt.NDArray[np.uint64]) -> None:
    for place in range(ids.size):
        if ids[place] == ABSENT:
            ids[place] = MISSING_ID if keys[place] == MISSING_KEY else UNSEEN_ID


@compiled
def _fill_names(names: Bytes, bounds: Ints, table: Ints) -> None:
    for column in range(bounds.size - 1):
        slot = 0
        for place in range(bounds[column], bounds[column + 1]):
            slot = (_FACTOR * slot + names[place]) & (table.size - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (table.size - 1)
        table[slot] = column


@compiled
def _find_quotes(text: Bytes, quotes: Ints) -> int:
    """Set where they are (all of them and one more place); returns what other signs there are."""
    found, signs = 0, np.uint8(0)
    for at in range(text.size):  # without a branch: quotes are everywhere
        sign = _SIGNS[text[at]]
        signs |= sign
        quotes[found] = at
        found += sign & _QUOTES
    return int(signs & ~_QUOTES)


@compiled
def _has_line_end(text: Bytes, quotes: Ints) -> bool:
    """Whether a text between two quotes holds a line end or a tab, which JSON forbids."""
    for quote in range(0, quotes.size - 1, 2):
        for at in range(quotes[quote], quotes[quote + 1]):
            if _SIGNS[text[at]] & _LINE_END:
                return True
    return False


@compiled
def _scan(
    text: Bytes, quotes: Ints, names: Bytes, bounds: Ints, table: Ints, kinds: Ints, places: Ints,
    starts: Ints, ends: Ints, numbers: Floats,
) -> int:  # fmt: skip
    """Read an object into row 0 and the list of objects behind it into rows 1, 2, ...; returns how many these are.

    Rows of starts and ends (S,) of texts, and of numbers (N,). A byte that is no part of JSON ends the object, and
    another one the list, so that no loop asks whether the text is at its end. All is one function: a compiled call
    counts the references to each array, which takes as long as reading a value.
    """
    signs = _find_quotes(text, quotes)
    if signs & _OTHER:
        return _NOT_PLAIN
    seen = np.full(kinds.size, -1)
    at, quote, last = 0, 0, quotes.size - 1
    for row in range(len(starts)):
        if row:
            starts[row], ends[row], numbers[row] = starts[0], ends[0], numbers[0]
        while text[at] <= _SPACE:
            at += 1
        if text[at] != _OPEN:
            return _NOT_PLAIN
        at += 1
        while text[at] <= _SPACE:
            at += 1
        is_first = True
        while text[at] != _CLOSE:
            if not is_first:
                if text[at] != _COMMA:
                    return _NOT_PLAIN
                at += 1
                while text[at] <= _SPACE:
                    at += 1
            is_first = False
            if text[at] != _QUOTE or quote + 1 >= last:
                return _NOT_PLAIN
            # The column's name.
            start, stop = at + 1, quotes[quote + 1]
            quote += 2
            slot = 0
            for place in range(start, stop):
                slot = (_FACTOR * slot + text[place]) & (table.size - 1)
            column = table[slot]
            while column >= 0:
                first = bounds[column]
                if bounds[column + 1] - first == stop - start:
                    place = 0
                    while place < stop - start and names[first + place] == text[start + place]:
                        place += 1
                    if place == stop - start:
                        break
                slot = (slot + 1) & (table.size - 1)
                column = table[slot]
            if column < 0 or seen[column] == row:
                return _NOT_PLAIN
            seen[column] = row
            at = stop + 1
            while text[at] <= _SPACE:
                at += 1
            if text[at] != _COLON:
                return _NOT_PLAIN
            at += 1
            while text[at] <= _SPACE:
                at += 1
            # Its value.
            kind, place = kinds[column], places[column]
            if text[at] == _QUOTE:
                if quote + 1 >= last or kind == _NUMBER:
                    return _NOT_PLAIN
                start, stop = at + 1, quotes[quote + 1]
                quote += 2
                at = stop + 1
                if stop - start > _LONGEST_TEXT:
                    return _NOT_PLAIN
            elif text[at] == _N:
                if text[at + 1] != _U or text[at + 2] != _L or text[at + 3] != _L:
                    return _NOT_PLAIN
                start, stop, at = 0, 0, at + 4
                if kind == _NUMBER:
                    numbers[row, place] = np.nan
            else:
                start, worth, digits, broken = at, 0.0, 0, 0
                is_negative = text[at] == _MINUS
                at += is_negative
                is_zero = text[at] == _ZERO
                while _ZERO <= text[at] <= _NINE:
                    worth = 10.0 * worth + (text[at] - _ZERO)
                    digits += 1
                    at += 1
                if digits == 0 or (digits > 1 and is_zero):
                    return _NOT_PLAIN
                stop = at
                if text[at] == _POINT:
                    at += 1
                    while _ZERO <= text[at] <= _NINE:
                        worth = 10.0 * worth + (text[at] - _ZERO)
                        broken += 1
                        at += 1
                    if broken == 0:
                        return _NOT_PLAIN
                if digits + broken > _MOST_DIGITS or (kind == _ID and (broken or is_negative)):
                    return _NOT_PLAIN
                if kind == _NUMBER:
                    worth /= _POWERS[broken]
                    numbers[row, place] = -worth if is_negative and (broken or worth) else worth
            if kind == _ID:
                starts[row, place], ends[row, place] = start, stop
            while text[at] <= _SPACE:
                at += 1
        at += 1
        while text[at] <= _SPACE:
            at += 1
        if row == 0:
            if text[at] != _END or at == text.size - 1:
                return _NOT_PLAIN
            at += 1
            while text[at] <= _SPACE:
                at += 1
            if text[at] != _OPEN_LIST:
                return _NOT_PLAIN
        elif text[at] == _CLOSE_LIST:
            at += 1
            while text[at] <= _SPACE:
                at += 1
            is_whole = text[at] == _END and at == text.size - 1 and quote == last
            return row if is_whole and not (signs & _LINE_END and _has_line_end(text, quotes)) else _NOT_PLAIN
        elif text[at] != _COMMA:
            return _NOT_PLAIN
        at += 1
    return _NOT_PLAIN
