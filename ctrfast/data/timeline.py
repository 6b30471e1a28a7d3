"""Rows and clicks over time, for the manifest: by the hour, by days where the log is long, by number where it has days.

A stretch without rows is a point too, so that a chart has even steps; numbers that are few are points one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ctrfast.data.manifest import TimelinePoint
from ctrfast.data.side_columns import MISSING_TIME, Times
from ctrfast.data.time_order import time_range

MOST_POINTS = 400
_HOUR, _DAY = 3600, 86_400
_LONGEST_BY_HOUR = 14 * _DAY

Labels = npt.NDArray[np.int8]
Parts = Callable[[], Iterable[tuple[Times, Labels]]]


def timeline(parts: Parts, format_: str) -> tuple[TimelinePoint, ...]:
    """Count rows and labels 1 over time.

    Args:
        parts: gives times (R,) and labels (R,) of all rows, block by block, each time it is called.
        format_: of the schema's timestamp.

    Returns:
        At most `MOST_POINTS` points; none where all times are missing, which are left out.
    """
    ends = time_range(lambda: (times for times, _ in parts()))
    if ends is None:
        return ()
    is_number = format_ == "number"
    width = _width_of_numbers(*ends) if is_number else _width_of_times(*ends)
    first = ends[0] if is_number else ends[0] - ends[0] % width
    points = (ends[1] - first) // width + 1
    rows, positives = np.zeros(points, np.int64), np.zeros(points, np.int64)
    for times, labels in parts():
        is_present = times != MISSING_TIME
        place = (times[is_present] - first) // width
        rows += np.bincount(place, minlength=points)
        positives += np.bincount(place[labels[is_present] == 1], minlength=points)
    return tuple(
        TimelinePoint(start=_text(first + place * width, is_number), rows=count, positives=clicks)
        for place, (count, clicks) in enumerate(zip(rows.tolist(), positives.tolist(), strict=True))
        if count or not (is_number and width == 1)
    )


def _width_of_numbers(first: int, last: int) -> int:
    return -(-(last - first + 1) // MOST_POINTS)


def _width_of_times(first: int, last: int) -> int:
    """Seconds: an hour, a day, or as many days as keep the points few."""
    if last - first <= _LONGEST_BY_HOUR:
        return _HOUR
    days = last // _DAY - first // _DAY + 1
    return -(-days // (MOST_POINTS - 1)) * _DAY  # the first stretch may begin before the first day


def _text(start: int, is_number: bool) -> str:
    return str(start) if is_number else str(np.datetime64(start, "s").astype("datetime64[m]"))
