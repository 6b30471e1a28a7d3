"""Texts of several vocabularies -> local ids, many at once: what online scoring looks values up with.

One table of the texts' 64-bit keys (`ctrfast.data.keys`), each with its id beside it, so that a look-up waits for one
cache line; lines are fetched some look-ups ahead. A dict takes several times the memory, one miss after the other, and
the lock of the interpreter for as long as it is built or freed, while requests wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ctrfast.data.cells import Cells
from ctrfast.data.compiled import compiled
from ctrfast.data.keys import MISSING_KEY, Keys, keys_of, mix
from ctrfast.data.prefetch import fetch
from ctrfast.id_rows import ABSENT, FIRST_ID

Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

_SMALLEST = 8  # slots
_AHEAD = 8  # look-ups whose slots are fetched before they are needed
_SALT = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64; tells one text in two vocabularies apart
_ONE, _TWO, _HALF, _LOW = np.uint64(1), np.uint64(2), np.uint64(32), np.uint64(2**32 - 1)


class TextTable:
    """Finds texts.

    Args:
        vocabularies: (K,) texts of each, none empty; text k has local id k + 2.
    """

    def __init__(self, vocabularies: Sequence[pa.Array]) -> None:
        total, slots = sum(map(len, vocabularies)), _SMALLEST
        while 2 * slots < 3 * total:
            slots *= 2
        # Key, and vocabulary and id, of each slot; no text has the key 0.
        self._slots = np.zeros(2 * slots, np.uint64)
        for number, values in enumerate(vocabularies):
            _insert(keys_of(Cells.of(values)), number, self._slots)

    def find(self, values: Sequence[object], numbers: Longs) -> Ids:
        """Local ids (M,) of M values; `ABSENT` where a vocabulary lacks one.

        Args:
            values: texts, or anything else, which no vocabulary has.
            numbers: (M,) which vocabulary.
        """
        texts = [value if type(value) is str else None for value in values]
        try:
            array = pa.array(texts, pa.large_string())
        except UnicodeEncodeError:  # a lone surrogate, which no vocabulary has either
            array = pa.array([text if text is None or _is_unicode(text) else None for text in texts], pa.large_string())
        return self.find_keys(keys_of(Cells.of(array)), numbers)

    def find_keys(self, keys: Keys, numbers: Longs) -> Ids:
        """Local ids (M,) of M keys, as `find`."""
        found = np.empty(len(keys), np.int32)
        _look_up(keys, numbers, self._slots, found)
        return found


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@compiled
def _salted(key: np.uint64, number: int) -> np.uint64:
    """What a key is stored as: never 0."""
    return max(mix(key + np.uint64(number) * _SALT), _ONE)


@compiled
def _insert(keys: Keys, number: int, slots: Keys) -> None:
    last = np.uint64(slots.size // 2 - 1)
    for place in range(keys.size):
        key = _salted(keys[place], number)
        slot = key & last
        while slots[_TWO * slot] != 0:
            slot = (slot + _ONE) & last
        slots[_TWO * slot] = key
        slots[_TWO * slot + _ONE] = np.uint64(number) << _HALF | np.uint64(place + FIRST_ID)


@compiled
def _look_up(keys: Keys, numbers: Longs, slots: Keys, found: Ids) -> None:
    last = np.uint64(slots.size // 2 - 1)
    for place in range(keys.size):
        ahead = place + _AHEAD
        if ahead < keys.size:
            fetch(slots, _TWO * (_salted(keys[ahead], numbers[ahead]) & last))
        found[place] = ABSENT
        if keys[place] == MISSING_KEY:
            continue
        key = _salted(keys[place], numbers[place])
        slot = key & last
        while slots[_TWO * slot] != 0:
            # The vocabulary is compared too: keys are no secret, and one could be made to equal another's salted one.
            value = slots[_TWO * slot + _ONE]
            if slots[_TWO * slot] == key and value >> _HALF == np.uint64(numbers[place]):
                found[place] = np.int32(value & _LOW)
                break
            slot = (slot + _ONE) & last
