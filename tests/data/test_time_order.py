"""The time at a place, against sorting; stretches of a coarse histogram are gone into until they are one instant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.side_columns import MISSING_TIME
from ctrfast.data.time_order import time_at, time_range

BLOCK = st.lists(st.integers(-(2**53), 2**53) | st.integers(0, 5) | st.just(MISSING_TIME), max_size=30)


def parts_of(blocks):
    return lambda: (np.array(block, np.int64) for block in blocks)


@given(st.lists(BLOCK, max_size=5), st.data())
def test_it_is_that_of_the_sorted_times(blocks, data):
    times = sorted(time for block in blocks for time in block)
    present = [time for time in times if time != MISSING_TIME]
    assert time_range(parts_of(blocks)) == ((present[0], present[-1]) if present else None)
    if times:
        place = data.draw(st.integers(0, len(times) - 1))
        assert time_at(parts_of(blocks), place) == times[place]


@pytest.mark.parametrize(("span", "passes"), [(2**16, 1), (2**16 + 1, 2), (2**32, 2), (2**53, 4)])
def test_passes_grow_with_the_logarithm_of_the_span(span, passes):
    calls = []

    def parts():
        calls.append(1)
        yield np.array([0, 1, span - 1], np.int64)

    assert time_at(parts, 1) == 1
    assert len(calls) == 2 + passes  # missing ones, range
