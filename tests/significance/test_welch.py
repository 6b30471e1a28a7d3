"""Welch's test against scipy, which is not among ctrfast's own dependencies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ctrfast.significance.welch import t_p_value, t_reach, welch_difference


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 4.3, 30.0, 1000.0])
@pytest.mark.parametrize("t", [0.0, 0.01, 0.8, 2.0, 12.0, 300.0])
def test_the_distribution(t, freedom):
    assert t_p_value(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("freedom", [1.0, 2.5, 10.0])
def test_its_quantile(freedom):
    assert t_reach(0.05, freedom) == pytest.approx(stats.t.isf(0.025, freedom), rel=1e-9)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (5, 2)])
def test_the_test(sizes):
    rng = np.random.default_rng(sum(sizes))
    earlier, later = rng.normal(0.75, 0.001, sizes[0]), rng.normal(0.752, 0.0004, sizes[1])
    expected = stats.ttest_ind(later, earlier, equal_var=False)
    found = welch_difference(list(earlier), list(later))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_seeds_that_do_not_differ_at_all():
    assert welch_difference([0.7, 0.7], [0.7, 0.7]).p == 1
    assert welch_difference([0.7, 0.7], [0.8, 0.8]).p == 0
