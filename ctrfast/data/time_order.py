"""The time at a place in the order of times, exactly, in memory that does not grow with the rows.

Selection by histograms: count the rows in equal stretches of time, go on within the stretch that holds the place, until
a stretch is one instant. Times that span less than 65,536 seconds, or days, take one pass; the longest take four.

    time_at(lambda: (block.times() for block in blocks), place=900_000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ctrfast.data.side_columns import MISSING_TIME, Times

_STRETCHES = 2**16

Parts = Callable[[], Iterable[Times]]


def time_range(parts: Parts) -> tuple[int, int] | None:
    """Earliest and latest time; None where all are missing."""
    ends = [(int(found.min()), int(found.max())) for found in map(_present, parts()) if len(found)]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def time_at(parts: Parts, place: int) -> int:
    """The time of the row at a place from 0 in the order of times; missing ones come first.

    Args:
        parts: gives the times of all rows, block by block, each time it is called.
        place: below the number of rows.
    """
    place -= sum(int((times == MISSING_TIME).sum()) for times in parts())
    ends = time_range(parts)
    if place < 0 or ends is None:
        return MISSING_TIME
    first, last = ends
    while True:
        width = -(-(last - first + 1) // _STRETCHES)
        counts = np.zeros(_STRETCHES, np.int64)
        for times in map(_present, parts()):
            within = times[(times >= first) & (times <= last)]
            counts += np.bincount((within - first) // width, minlength=_STRETCHES)
        up_to = np.cumsum(counts)
        stretch = int(np.searchsorted(up_to, place, side="right"))
        first += stretch * width
        if width == 1:
            return first
        place -= int(up_to[stretch] - counts[stretch])
        last = first + width - 1


def _present(times: Times) -> Times:
    present: Times = times[times != MISSING_TIME]
    return present
