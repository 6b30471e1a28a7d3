"""One rule for lists, for a text and for a column of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.cells import Cells
from ctrfast.data.list_cells import joined, split_lists
from ctrfast.data.lists import in_slots, split_text
from ctrfast.schema import IdField

LISTS = IdField(name="f", separator="--", max_values=2)


@pytest.mark.parametrize(
    "text, values",
    [
        ("a--b--c", ["a", "b"]),
        ("a", ["a"]),
        ("----a----", ["a"]),
        ("a---b", ["a", "-b"]),
        ("-", ["-"]),
        ("--", [None]),
        ("", [None]),
        (None, [None]),
    ],
)
def test_the_first_values_that_are_not_empty(text, values):
    assert split_text(text, LISTS) == values


@given(st.lists(st.text("-aé|", max_size=12) | st.none()), st.sampled_from(["-", "--", "-a", "é"]), st.integers(1, 4))
def test_a_column_is_split_as_single_texts_are(texts, separator, max_values):
    field = IdField(name="f", separator=separator, max_values=max_values)
    values, counts = split_lists(Cells.of(pa.array(texts, pa.string())), field)
    expected = [split_text(text, field) for text in texts]
    assert counts.tolist() == [len(found) for found in expected]
    assert values.to_arrow().to_pylist() == [text for found in expected for text in found]


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.int64())])
def test_lists_stand_for_their_values_joined(kind):
    values = [[1, 2], None, [], [None, 3]] if kind == pa.list_(pa.int64()) else [["1", "2"], None, [], [None, "3"]]
    column = pa.array(values, kind)
    assert joined(column, "--").to_pylist() == ["1--2", "", "", "--3"]
    assert joined(column[3:], "--").to_pylist() == ["--3"]


def test_slots_are_filled_up_at_the_end():
    ids = in_slots(np.array([5, 6, 7], np.int32), np.array([1, 2]), 3, padding=9)
    assert (ids.tolist(), ids.dtype) == ([[5, 9, 9], [6, 7, 9]], np.int32)
