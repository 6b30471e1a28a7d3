import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.cells import Cells
from ctrfast.data.keys import MISSING_KEY, arrow_texts, is_hashed, keys_of

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("0123456789", max_size=20),
    st.text("0123456789abcdef", max_size=20),
    st.text("0123456789abcdefAF\0", min_size=6, max_size=18),
)


def keys(*texts):
    return keys_of(Cells.of(pa.array(texts, pa.string())))


@given(st.lists(TEXT, min_size=1, max_size=30))
def test_different_texts_have_different_keys_and_short_ones_read_back(texts):
    found = keys(*texts)
    assert len(set(found.tolist())) == len(set(texts))
    read = arrow_texts(found).to_pylist()
    for text, key, again in zip(texts, found, read, strict=True):
        assert (key == MISSING_KEY) == (text == "")
        assert again == (None if is_hashed(key) else text or None)
        if len(text.encode()) <= 7:
            assert not is_hashed(key)


@pytest.mark.parametrize("text", ["68fd1e64", "0000000a", "12345678901234", "abcdefabcdef01", "1234567890123456", "é"])
def test_the_ids_of_real_logs_are_kept_in_their_keys(text):
    assert not is_hashed(keys(text)).any()
    assert arrow_texts(keys(text)).to_pylist() == [text]


@pytest.mark.parametrize("text", ["68FD1E64", "https://ads/1", "12345678901234567", "abcdefabcdef012", "x" * 4096])
def test_other_texts_are_hashed(text):
    assert is_hashed(keys(text)).all()


def mixed(key):
    """The finaliser of MurmurHash3, in whole numbers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        key = (key ^ (key >> 33)) * factor % 2**64
    return key ^ (key >> 33)


def hashed(text):
    """Key of a hashed text, in whole numbers."""
    data = text.encode()
    state = mixed(len(data))
    for start in range(0, len(data), 8):
        word = int.from_bytes(data[start : start + 8], "big")
        state = (mixed(state ^ mixed(word)) + 0xFF51AFD7ED558CCD) % 2**64
    return mixed(state) | 2**63


def test_hashes_are_the_same_on_every_machine():
    texts = ["https://ads/1", "x" * 100, "é" * 9, "campaign-00000001"]
    assert keys(*texts).tolist() == [hashed(text) for text in texts]


def test_many_hashed_texts_do_not_collide():
    texts = [f"campaign-{index:09}" for index in range(200_000)]
    assert len(np.unique(keys(*texts))) == len(texts)
