"""Hashes of single texts are those of columns, and stay what they are: models in use depend on them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.cells import Cells
from ctrfast.data.hashing import hash_buckets
from ctrfast.data.keys import keys_of
from ctrfast.data.text_keys import hash_bucket, key_of_text

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("0123456789", min_size=1, max_size=20),
    st.text("0123456789abcdef", min_size=1, max_size=20),
    st.text("0123456789abcdefAF\0", min_size=6, max_size=18),
)


@given(st.lists(TEXT, min_size=1, max_size=30), st.integers(1, 2**30))
def test_single_texts_and_columns_agree(texts, buckets):
    keys = keys_of(Cells.of(pa.array(texts)))
    assert [key_of_text(text) for text in texts] == keys.tolist()
    assert [hash_bucket(text, buckets) for text in texts] == hash_buckets(keys, buckets).tolist()


@pytest.mark.parametrize(
    "text, bucket",
    [("a", 323130), ("68fd1e64", 535), ("1234567890123456", 806550), ("https://ads.example/1", 167028)],
)
def test_the_hash_never_changes(text, bucket):
    assert hash_bucket(text, 1_000_003) == bucket


def test_texts_spread_evenly():
    buckets = [hash_bucket(f"user-{number}", 10) for number in range(10_000)]
    assert all(abs(buckets.count(bucket) - 1000) < 150 for bucket in range(10))  # five deviations
