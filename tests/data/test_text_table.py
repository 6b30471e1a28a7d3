"""The table of texts against dicts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.text_table import ABSENT, TextTable

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


@pytest.mark.parametrize("hashes", [lambda text: len(text), lambda text: 5 << 1, lambda text: -1 - len(text)])
def test_full_buckets_run_over(monkeypatch, hashes):
    """Hashes that crowd into few buckets, the last one among them: `find` and the table are given the same."""
    texts = ["x" * length for length in range(1, 61)]
    crowded = {text: (hashes(text) & 7) << 1 | length << 40 for length, text in enumerate(texts)}
    absent = {"absent": 3 << 1 | 1 << 60}
    monkeypatch.setattr("ctrfast.data.text_table.hash", lambda text: {**crowded, **absent}.get(text, 7), raising=False)
    table = TextTable([pa.array(texts)])
    assert table.find([*texts, "absent"], np.zeros(61, int)).tolist() == [*range(2, 62), ABSENT]


def test_a_large_vocabulary():
    texts = [f"{number:x}" for number in range(200_000)]
    table = TextTable([pa.array(texts[:100_000]), pa.array(texts[50_000:])])
    ids = [np.full(200_000, ABSENT), np.full(200_000, ABSENT)]
    ids[0][:100_000] = ids[1][50_000:150_000] = np.arange(2, 100_002)
    ids[1][150_000:] = np.arange(100_002, 150_002)
    which = np.arange(200_000) % 2
    np.testing.assert_array_equal(table.find(texts, which), np.where(which, ids[1], ids[0]))


def test_what_has_no_hash():
    with pytest.raises(TypeError):
        TextTable([pa.array(["a"])]).find(["a", []], np.zeros(2, int))
