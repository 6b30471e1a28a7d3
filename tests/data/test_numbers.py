import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctrfast.data.cells import Cells, parse_number
from ctrfast.data.numbers import numbers_of, parse_numbers


def both(text):
    """Value and badness of one text in a column."""
    values, bad = parse_numbers(Cells.of(pa.array([text])))
    return values[0], bool(bad[0])


@given(st.text(st.sampled_from("0123456789+-.eE naif_x\0"), min_size=1, max_size=12))
@example("1e")
@example("-.e5")
@example("1.5e+")
def test_columns_and_single_values_follow_one_rule(text):
    value, bad = both(text)
    alone = parse_number(text)
    assert bad == (alone is None)
    if alone is not None:
        assert math.copysign(1, value) == math.copysign(1, alone)
        assert value == alone


@given(st.floats(-3e38, 3e38), st.integers(-(10**18), 10**18), st.integers(0, 40))
def test_each_value_is_the_nearest_to_its_text(number, whole, places):
    shifted = f"{whole}e-{places}"
    for text in (repr(number), f"{number:.17e}", f"{number:.6g}", str(whole), shifted, f"{whole / 7:.3f}"):
        assert both(text) == (float(text), False), text


@pytest.mark.parametrize("text", ["1e400", "1e39", "-4e38", "1" * 400])
def test_numbers_beyond_float32_are_bad(text):
    value, bad = both(text)
    assert math.isnan(value)
    assert bad


def test_leading_zeros_and_missing_cells():
    values, bad = parse_numbers(Cells.of(pa.array(["0" * 300 + "7", None, "0.000", "-0"])))
    np.testing.assert_array_equal(values, [7.0, np.nan, 0.0, 0.0])
    assert not bad.any()


def test_number_columns_and_dictionaries_are_taken():
    np.testing.assert_array_equal(numbers_of(pa.array([1, None]))[0], [1.0, np.nan])
    values, bad = numbers_of(pa.array([1.5, float("nan"), float("inf"), 1e39]))
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(bad, [False, True, True, True])
    np.testing.assert_array_equal(numbers_of(pa.array(["2", "x"]).dictionary_encode())[1], [False, True])
