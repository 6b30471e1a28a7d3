import numpy as np

from ctrfast.data.splitter import Splitter


def test_splits_cover_all_rows_and_do_not_depend_on_blocks():
    for how in ("random", "sequential"):
        splitter = Splitter(how, 0.1, 0.2, seed=3)
        whole = splitter.splits(0, 10_000, 10_000)
        parts = np.concatenate([splitter.splits(start, 1250, 10_000) for start in range(0, 10_000, 1250)])
        np.testing.assert_array_equal(whole, parts)
        np.testing.assert_allclose(np.bincount(whole) / 10_000, [0.7, 0.1, 0.2], atol=0.015)
    assert np.bincount(Splitter("sequential", 0.0, 0.9, seed=1).splits(0, 10, 10)).tolist() == [1, 0, 9]
    assert np.bincount(Splitter("sequential", 0.0, 0.2, seed=1).splits(0, 109_711, 109_711))[2] == 21_943
    assert (np.diff(Splitter("sequential", 0.3, 0.3, seed=1).splits(0, 99, 99)) >= 0).all()
