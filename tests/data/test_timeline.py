"""Rows and clicks over time: width of the stretches, gaps, and how many points there may be."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.side_columns import MISSING_TIME
from ctrfast.data.timeline import MOST_POINTS, timeline

START = int(datetime(2014, 10, 21, 5, 30, tzinfo=UTC).timestamp())
HOUR, DAY = 3600, 86_400


def points(times, labels, format_="unix"):
    found = timeline(lambda: [(np.array(times, np.int64), np.array(labels, np.int8))], format_)
    return [(point.start, point.rows, point.positives) for point in found]


def test_a_short_log_is_counted_by_the_hour_and_quiet_hours_show():
    assert points([START, START + 2 * HOUR, START + 60, MISSING_TIME], [1, 1, 0, 1]) == [
        ("2014-10-21T05:00", 2, 1),
        ("2014-10-21T06:00", 0, 0),
        ("2014-10-21T07:00", 1, 1),
    ]
    assert points([MISSING_TIME], [1]) == []


def test_more_than_fourteen_days_are_counted_by_the_day():
    assert len(points([START, START + 14 * DAY], [0, 0])) == 14 * 24 + 1
    by_day = points([START, START + 14 * DAY + 1], [0, 1])
    assert (by_day[0], by_day[-1], len(by_day)) == (("2014-10-21T00:00", 1, 0), ("2014-11-04T00:00", 1, 1), 15)


def test_numbers_are_counted_one_by_one_while_they_are_few():
    assert points([7, 23, 7], [1, 0, 0], "number") == [("7", 2, 1), ("23", 1, 0)]


@given(
    st.lists(st.integers(-(2**36), 2**37), min_size=1, max_size=50),
    st.sampled_from(["unix", "number", "%Y"]),
)
def test_points_are_few_even_and_hold_all_rows(times, format_):
    labels = [time % 2 for time in times]
    found = points(times, labels, format_)
    assert len(found) <= MOST_POINTS
    assert sum(rows for _, rows, _ in found) == len(times)
    assert sum(positives for _, _, positives in found) == sum(labels)
