import numpy as np

from ctrfast.data.report.quantiles import BINS, ZERO, fine_bins, quantile_parts


def test_bins_rise_with_the_value_and_are_a_thousandth_wide():
    rng = np.random.default_rng(1)
    values = np.sort(np.concatenate([rng.normal(size=5000), -np.exp(rng.uniform(-10, 10, 5000))])).astype(np.float32)
    bins = fine_bins(values)
    assert (np.diff(bins) >= 0).all()
    together = np.diff(bins) == 0
    assert together.any()
    assert (np.diff(values)[together] <= np.abs(values[:-1][together]) * 1.1e-3).all()
    assert 0 <= bins.min() < bins.max() < BINS


def test_zero_has_a_bin_of_its_own():
    values = np.array([0.0, -0.0, 1e-9, 1e-5, -1e-5], dtype=np.float32)
    above, below = fine_bins(values)[3:]
    assert fine_bins(values)[:3].tolist() == [ZERO] * 3
    assert below < ZERO < above


def test_the_largest_values_share_the_outermost_bins():
    largest = np.finfo(np.float32).max
    assert fine_bins(np.array([-largest, -(2**21), 2**21, largest], dtype=np.float32)).tolist() == [
        *(0, 0, BINS - 1, BINS - 1)
    ]


def test_parts_are_those_of_numpy_quantiles():
    values = np.random.default_rng(2).normal(size=20_000).astype(np.float32)
    part = quantile_parts(np.bincount(fine_bins(values), minlength=BINS), 10)
    edges = np.quantile(values, np.arange(1, 10) / 10)
    assert (part[fine_bins(values)] == np.searchsorted(edges, values)).mean() > 0.995
    assert np.bincount(part[fine_bins(values)], minlength=10).min() > 1950


def test_a_bin_that_holds_more_than_a_part_leaves_parts_empty():
    assert quantile_parts(np.array([1, 8, 0, 1]), 10).tolist() == [0, 8, 8, 9]
    assert quantile_parts(np.array([0, 0]), 10).tolist() == [0, 0]
