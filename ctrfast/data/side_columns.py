"""Columns beside the fields that place a row: its time, and its split where a raw column tells it.

    side = SideColumns(schema.timestamp, split=None)
    times, bad = side.times(cells)          # (R,) int64, MISSING_TIME where empty; (R,) bool

A time is a whole number: seconds since 1970, or the number itself where the format is `number`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ctrfast.data.cells import Cells, Mask
from ctrfast.data.numbers import parse_numbers
from ctrfast.data.times import distinct
from ctrfast.schema import SPLITS, Timestamp

Times = npt.NDArray[np.int64]
Splits = npt.NDArray[np.int8]

MISSING_TIME = int(np.iinfo(np.int64).min)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (int((time.replace(tzinfo=UTC) - _EPOCH).total_seconds()) for time in (datetime.min, datetime.max))
_LARGEST_WHOLE = 2**53  # beyond, float64 skips whole numbers


@dataclass(frozen=True)
class SideColumns:
    """Which columns to read. timestamp: of the schema. split: the raw column that tells each row's split."""

    timestamp: Timestamp | None
    split: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The raw columns."""
        return (
            *(() if self.timestamp is None else (self.timestamp.column,)),
            *(() if self.split is None else (self.split,)),
        )

    @property
    def bytes_per_row(self) -> int:
        """What a parsed row takes for them."""
        return (0 if self.timestamp is None else 8) + (0 if self.split is None else 1)

    def times(self, cells: Mapping[str, Cells]) -> tuple[Times | None, Mask | slice]:
        """Times of R rows, None where none are asked for, and the rows whose text is no time."""
        if self.timestamp is None:
            return None, slice(0)
        return parse_times(cells[self.timestamp.column], self.timestamp.format)

    def splits(self, cells: Mapping[str, Cells]) -> tuple[Splits | None, Mask | slice]:
        """Splits of R rows, None where no column tells them, and the rows whose text is no split."""
        if self.split is None:
            return None, slice(0)
        texts, codes = distinct(cells[self.split])
        found = np.array([SPLITS.index(text) if text in SPLITS else -1 for text in texts], np.int8)[codes]
        return found, found < 0


NO_SIDE_COLUMNS = SideColumns(None, None)


def parse_times(cells: Cells, format_: str) -> tuple[Times, Mask]:
    """Times of R cells.

    Returns:
        times (R,) int64, `MISSING_TIME` where missing or bad; bad (R,) bool, true where there is text but no time.
    """
    if format_ in ("unix", "number"):
        values, bad = parse_numbers(cells)
        first, last = (_FIRST, _LAST) if format_ == "unix" else (-_LARGEST_WHOLE, _LARGEST_WHOLE)
        is_missing = np.isnan(values)
        bad |= ~is_missing & ~((values == np.floor(values)) & (values >= first) & (values <= last))
        none = is_missing | bad
        return np.where(none, MISSING_TIME, np.where(none, 0.0, values).astype(np.int64)), bad
    texts, codes = distinct(cells)
    found = [_seconds(text, format_) if text else MISSING_TIME for text in texts]
    is_bad = np.array([time is None for time in found], bool)
    times = np.array([MISSING_TIME if time is None else time for time in found], np.int64)
    return times[codes], is_bad[codes]


@lru_cache(maxsize=65536)
def _seconds(text: str, format_: str) -> int | None:
    try:
        time = datetime.strptime(text, format_)
    except ValueError:
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(seconds=1)
