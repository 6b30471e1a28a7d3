import math

import numpy as np
import pytest

from ctrfast.data.rows import Repeated, columns_of, read_numbers, read_texts
from ctrfast.errors import DataError


@pytest.fixture
def read(tiny_csv):
    """Texts of each id field, and numbers, of rows."""

    def texts_and_numbers(rows):
        columns = columns_of(rows, tiny_csv)
        lists = [read_texts(columns[field.source], range(len(rows)), field, None) for field in tiny_csv.id_fields]
        numbers = read_numbers(columns, [field.source for field in tiny_csv.numeric_fields], len(rows))
        return [[text for (text,) in texts] for texts in lists], numbers

    return texts_and_numbers


def test_values_are_read_as_they_stand_in_a_raw_file(read):
    texts, numbers = read(
        [
            {"n": 3, "a": "x", "b": 17, "at": 14102105},
            {"n": "2.5", "a": "", "at": "14102105", "label": None, "unused": object()},
            {"n": np.float32(0.5), "a": None, "b": np.int64(-1)},
        ]
    )
    assert texts == [["x", None, None], ["17", None, "-1"], ["5", "5", None], ["1", "1", None]]
    assert numbers[:, 0].tolist() == [3.0, 2.5, 0.5]
    assert math.isnan(read([{}])[1][0, 0])


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("n", True, "must be a finite number. Got bool True"),
        ("n", math.nan, "must be a finite number. Got float nan"),
        ("n", math.inf, "must be a finite number"),
        ("n", "nan", "must be a finite number. Got str 'nan'"),
        ("n", " 1", "must be a finite number"),
        ("n", 10**400, "must be a finite number. Got a huge int"),
        ("n", 1e39, "must be a finite number"),
        ("n", [1], "must be a finite number. Got list"),
        ("a", False, "must be text or a whole number. Got bool False"),
        ("a", 1.0, "must be text or a whole number. Got float 1.0"),
        ("a", {"x": 1}, "must be text or a whole number. Got dict"),
        ("a", 10**400, "must be text or a whole number. Got a huge int"),
        ("a", "x" * 4097, "must be at most 4096 bytes long. Got 4097"),
        ("a", "é" * 2049, "must be at most 4096 bytes long. Got 4098"),
        ("a", "\ud800", "must be text that UTF-8 can write"),
        ("at", "noon", "must be a time written as %y%m%d%H. Got str 'noon'"),
    ],
)
def test_a_bad_value_is_refused_with_row_and_field(read, field, value, problem):
    with pytest.raises(DataError) as caught:
        read([{"n": 1, "a": "x"}, {field: value}])
    assert caught.value.path == f"1.{field}"
    assert caught.value.message.startswith(f"Row 1: `{field}` {problem}")


def test_the_longest_text_is_taken(read):
    assert read([{"a": "é" * 2048}])[0][0] == ["é" * 2048]


def test_unknown_names_are_refused_and_near_ones_suggested(read):
    with pytest.raises(DataError, match=r"no column 'lable'. Did you mean label\?") as caught:
        read([{"lable": 1}])
    assert caught.value.path == "0.lable"
    with pytest.raises(DataError, match="Known: n, a, b, at"):
        read([{"hour_of_day": 1}])
    with pytest.raises(DataError, match=r"Row 0 must hold values by name\. Got list"):
        read([["x"]])


def test_a_repeated_value_stands_in_every_row():
    numbers = read_numbers({"n": Repeated(3), "m": [1, None]}, ["n", "m", "absent"], 2)
    np.testing.assert_array_equal(numbers, [[3, 1, np.nan], [3, np.nan, np.nan]])


def test_odd_numbers_among_plain_ones_are_found():
    with pytest.raises(DataError, match="Got a huge int") as caught:
        read_numbers({"n": [1.0, 10**400]}, ["n"], 2)
    assert caught.value.path == "1.n"
    with pytest.raises(DataError, match="Got float nan") as caught:
        read_numbers({"n": [None, math.nan]}, ["n"], 2)
    assert caught.value.path == "1.n"
