"""Times and splits of raw rows: each format by hand, and all that is refused."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ctrfast.data.cells import Cells
from ctrfast.data.side_columns import MISSING_TIME, parse_times
from ctrfast.schema import PRESETS, Schema, Timestamp


def parsed(texts, format_):
    times, bad = parse_times(Cells.of(pa.array(texts, pa.string())), format_)
    assert times.dtype == np.int64
    assert (times[bad] == MISSING_TIME).all()
    return [None if time == MISSING_TIME else time for time in times.tolist()], bad.tolist()


def test_strptime_text_is_utc_unless_it_names_a_zone():
    times, bad = parsed(["14102105", "", "14102199", "14102105", "x"], "%y%m%d%H")
    assert times == [1413867600, None, None, 1413867600, None]
    assert bad == [False, False, True, False, True]
    assert parsed(["1970-01-01T02:00:00.9+0200"], "%Y-%m-%dT%H:%M:%S.%f%z")[0] == [0]
    assert parsed(["1969-12-31 23:59:59"], "%Y-%m-%d %H:%M:%S")[0] == [-1]


def test_unix_seconds_are_whole_and_within_the_calendar():
    texts = ["1413867600", "-1", "", "1.5", "1413867600000", "253402300799", "abc", "nan"]
    times, bad = parsed(texts, "unix")
    assert times == [1413867600, -1, None, None, None, 253402300799, None, None]
    assert bad == [False, False, False, True, True, False, True, True]


@given(st.lists(st.integers(-(2**54), 2**54), min_size=1))
def test_numbers_are_exact_or_refused(numbers):
    times, bad = parsed([str(number) for number in numbers], "number")
    assert times == [number if abs(number) <= 2**53 else None for number in numbers]
    assert bad == [abs(number) > 2**53 for number in numbers]


@given(st.lists(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31))))
def test_any_time_is_read_back(times):
    texts = [time.replace(microsecond=0).isoformat() for time in times]
    expected = [int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in texts]
    assert parsed(texts, "%Y-%m-%dT%H:%M:%S") == (expected, [False] * len(times))


@pytest.mark.parametrize("format_", ["", "hour", "%Q", "%d %d", "unixx"])
def test_a_format_that_reads_no_time_is_refused(format_):
    with pytest.raises(ValidationError, match="`format` must be unix, number or strptime text"):
        Timestamp(column="at", format=format_)


def test_a_schema_names_the_column_of_its_time(tiny_csv):
    values = tiny_csv.model_dump()
    timed = Schema.model_validate({**values, "timestamp": {"column": "unused", "format": "unix"}})
    assert "unused" not in timed.input_columns
    assert timed.hash != tiny_csv.hash
    with pytest.raises(ValidationError, match="no column for absent"):
        Schema.model_validate({**values, "timestamp": {"column": "absent", "format": "unix"}})


def test_a_schema_without_a_time_keeps_the_hash_that_it_had_before():
    assert "timestamp" not in PRESETS["criteo"].model_dump_json()
    assert "timestamp" not in PRESETS["criteo"].model_dump()
    assert PRESETS["avazu"].model_dump(mode="json")["timestamp"] == {"column": "hour", "format": "%y%m%d%H"}
    assert PRESETS["criteo"].hash == CRITEO_HASH


CRITEO_HASH = "8b47f055dbc26aab8565cfa21f22cd5152fea74a014c2d6e9827edcea7fac4b4"
