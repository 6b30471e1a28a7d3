from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.tally import KeyCounter, KeyTable


def counted(folder, blocks, most, min_count=1):
    with KeyCounter(folder, most) as counter:
        for keys, wanted in blocks:
            counter.add(keys, wanted)
        keys, counts = counter.kept(min_count)
    assert len(keys) == len(set(keys.tolist()))
    return dict(zip(keys.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("most", [1, 600, 5_000, 10**9])
@pytest.mark.parametrize("min_count", [1, 3])
def test_counts_are_those_of_a_dict_whatever_goes_to_the_disk(tmp_path, most, min_count):
    rng = np.random.default_rng(4)
    blocks = [(rng.zipf(1.3, 3_000).astype(np.uint64) % 9_000, rng.random(3_000) < 0.8) for _ in range(7)]
    expected = Counter(key for keys, wanted in blocks for key in keys[wanted].tolist() if key)
    expected = {key: count for key, count in expected.items() if count >= min_count}
    assert counted(tmp_path / "counts", blocks, most, min_count) == expected
    assert not (tmp_path / "counts").exists()


def test_something_does_go_to_the_disk(tmp_path):
    with KeyCounter(tmp_path / "counts", most=600) as counter:
        counter.add(np.arange(1, 9_000, dtype=np.uint64), np.ones(8_999, bool))
        assert len(list((tmp_path / "counts").glob("*.keys.npy"))) > 3
        assert sum(counter.kept(1)[1]) == 8_999


def test_nothing_counted_is_nothing_kept(tmp_path):
    assert counted(tmp_path, [(np.zeros(3, np.uint64), np.ones(3, bool))], 10) == {}
    assert counted(tmp_path, [(np.ones(3, np.uint64), np.zeros(3, bool))], 10) == {}


@given(st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=50), st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_a_table_finds_each_key_and_no_other(keys, others):
    table = KeyTable(np.array(keys, np.uint64))
    assert table.places(np.array(keys, np.uint64)).tolist() == list(range(len(keys)))
    expected = [keys.index(key) if key in keys else -1 for key in others]
    assert table.places(np.array(others, np.uint64)).tolist() == expected
