"""Rows of a split that also occur in the training split: a model that has seen them looks better than it is.

Rows are compared as the model sees them, label and all inputs after encoding, by hashes of 64 bits. Two different rows
have the same one once in 2^64 pairs: 20 million rows against 50 million give 0.00005 false finds. What is kept is the
hashes of the small split, 8 bytes a row, sorted; the training rows stream past them.

    index = RowIndex(rows=dataset.rows("test"))
    index.add(row_hashes(columns))              # block after block
    index.close()
    index.mark(index.find(row_hashes(others)))  # block after block; `find` may run in threads
    index.found()                               # rows of the split that occur among the others
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_ROWS = 20_000_000  # 160 MB of hashes

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, 2^64 over the golden ratio
_HALF = np.uint64(32)
_LAST = np.uint64(0xBF58476D1CE4E5B9)


def row_hashes(columns: Sequence[npt.NDArray[Any]]) -> Hashes:
    """(R,) hashes over columns (R,) of integers that are not negative, or of float32. Order of columns matters."""
    hashes = np.full(len(columns[0]), len(columns), dtype=np.uint64)
    for column in columns:
        is_float = column.dtype.kind == "f"
        bits = (column.astype(np.float32) + np.float32(0)).view(np.uint32) if is_float else column  # -0 becomes 0
        hashes ^= bits.astype(np.uint64)
        hashes *= _MULTIPLIER
        hashes ^= hashes >> _HALF
    hashes *= _LAST
    hashes ^= hashes >> _HALF
    return hashes


def list_hashes(values: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]) -> Hashes:
    """(R,) hashes of the lists of `counts` (R,) values, at least one each, that stand one after the other (M,)."""
    starts = np.cumsum(counts) - counts  # (R,)
    place = np.arange(len(values)) - np.repeat(starts, counts)  # (M,) within the list
    sums: Hashes = np.add.reduceat(row_hashes([values, place]), starts) if len(counts) else np.empty(0, np.uint64)
    return sums


class RowIndex:
    """Hashes of a split's rows, and which of them were found elsewhere.

    Args:
        rows: of the split.
        most_rows: how many are kept at most, the first ones.
    """

    def __init__(self, rows: int, most_rows: int = MOST_ROWS) -> None:
        self.checked = min(rows, most_rows)
        self.capped = rows > most_rows
        self._hashes = np.empty(self.checked, dtype=np.uint64)
        self._filled = 0
        self._found = np.zeros(self.checked, dtype=bool)

    def add(self, hashes: Hashes) -> None:
        """Add rows of the split; those beyond the limit are dropped."""
        kept = hashes[: self.checked - self._filled]
        self._hashes[self._filled : self._filled + len(kept)] = kept
        self._filled += len(kept)

    def close(self) -> None:
        """All rows are there."""
        self._hashes = self._hashes[: self._filled]
        self._hashes.sort()

    def find(self, hashes: Hashes) -> Places:
        """Places of those rows that are in the split; for a row that it has more than once, the first place."""
        if not self._filled:
            return np.empty(0, dtype=np.int64)
        wanted = np.unique(hashes)  # sorted: the search then walks through memory in one direction
        places = np.minimum(np.searchsorted(self._hashes, wanted), self._filled - 1)
        found: Places = places[self._hashes[places] == wanted]
        return found

    def mark(self, places: Places) -> None:
        """Remember what `find` gave."""
        self._found[places] = True

    def found(self) -> int:
        """Rows of the split, each repetition counted, that were marked."""
        first = np.flatnonzero(np.diff(self._hashes, prepend=~self._hashes[:1]))
        times = np.diff(first, append=self._filled)
        return int(times[self._found[first]].sum())
