import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.cells import bad_times, parse_number, parse_numbers, time_part
from ctrfast.schema import IdField

HOUR = IdField(name="h", column="at", part="hour_of_day", time_format="%y%m%d%H")
WEEKDAY = IdField(name="w", column="at", part="weekday", time_format="%y%m%d%H")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("-12", -12.0), ("+3", 3.0), ("5.", 5.0), (".5", 0.5), ("1e-3", 0.001), ("007", 7.0), ("1E2", 100.0)],
)
def test_decimal_text_is_a_number(text, value):
    assert parse_number(text) == value
    values, bad = parse_numbers(pa.array([text, None]))
    assert values[0] == value
    assert math.isnan(values[1])
    assert not bad.any()


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "x", " 5", "5 ", "1_0", "0x1", "1e", "-", "1e400", "1e39", "٣", "5\0", "1,5"]
)
def test_other_text_is_not(text):
    assert parse_number(text) is None
    values, bad = parse_numbers(pa.array(["1", text, None]))
    np.testing.assert_array_equal(bad, [False, True, False])
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])


@given(st.text(st.sampled_from("0123456789+-.eE naif_x"), max_size=8))
def test_columns_and_single_values_follow_one_rule(text):
    values, bad = parse_numbers(pa.array([text]))
    alone = parse_number(text)
    assert bad[0] == (alone is None)
    if alone is not None:
        assert values[0] == alone


def test_number_columns_and_dictionaries_are_taken():
    np.testing.assert_array_equal(parse_numbers(pa.array([1, None]))[0], [1.0, np.nan])
    np.testing.assert_array_equal(parse_numbers(pa.array(["2", "x"]).dictionary_encode())[1], [False, True])


def test_time_parts():
    assert (time_part("14102105", HOUR), time_part("14102105", WEEKDAY)) == ("5", "1")  # 21 October 2014, a Tuesday
    assert time_part("14102625", HOUR) is None
    column = pa.array(["14102100", "soon", None, "14102100"])
    np.testing.assert_array_equal(bad_times(column, HOUR), [False, True, False, False])
