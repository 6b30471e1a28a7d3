"""The table of texts against dicts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.text_keys import key_of_text
from ctrfast.data.text_table import TextTable
from ctrfast.id_rows import ABSENT

TEXTS = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=40)


@given(
    st.lists(TEXTS, max_size=4), st.lists(st.none() | st.text(max_size=3) | st.integers() | st.floats(), max_size=40)
)
def test_it_finds_what_dicts_find(vocabularies, asked):
    table = TextTable([pa.array(texts, pa.string()) for texts in vocabularies])
    for number, texts in enumerate(vocabularies):
        ids = {text: place for place, text in enumerate(texts, start=2)}
        values = [*texts, *asked, None]
        expected = [ids.get(value, ABSENT) for value in values]
        assert table.find(values, np.full(len(values), number)).tolist() == expected


def test_a_large_vocabulary():
    texts = [f"{number:x}" for number in range(200_000)]
    table = TextTable([pa.array(texts[:100_000]), pa.array(texts[50_000:])])
    ids = [np.full(200_000, ABSENT), np.full(200_000, ABSENT)]
    ids[0][:100_000] = ids[1][50_000:150_000] = np.arange(2, 100_002)
    ids[1][150_000:] = np.arange(100_002, 150_002)
    which = np.arange(200_000) % 2
    np.testing.assert_array_equal(table.find(texts, which), np.where(which, ids[1], ids[0]))


def test_what_is_no_text_is_absent():
    values = ["a", [], {}, b"a", 1, "\ud800", "a"]
    assert TextTable([pa.array(["a"])]).find(values, np.zeros(7, int)).tolist() == [2, *[ABSENT] * 5, 2]


def test_a_key_that_is_made_to_meet_another_vocabularys():
    table = TextTable([pa.array(["a"]), pa.array([f"v{number}" for number in range(50)])])
    keys = np.array([(key_of_text("v7") + 0x9E3779B97F4A7C15) % 2**64], np.uint64)
    assert table.find_keys(keys, np.array([0])).tolist() == [ABSENT]
    assert table.find(["v7", "a"], np.array([1, 0])).tolist() == [9, 2]
