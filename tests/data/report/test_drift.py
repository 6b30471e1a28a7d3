"""PSI by hand, its distribution by simulation and by scipy, and the training split's own unseen values."""

import numpy as np
import pytest
from scipy.stats import chi2

from ctrfast.data.report.drift import number_counts, psi, psi_by_chance, with_expected_unseen
from ctrfast.data.unseen import unseen_expected


def counts(*values):
    return np.array(values, dtype=np.int64)


def test_by_hand():
    # p = 50.5 / 101 = 0.5 twice; q = 90.5 / 101 = 0.896040, 10.5 / 101 = 0.103960
    # 0.396040 * ln(0.896040 / 0.5) = 0.231040;  -0.396040 * ln(0.103960 / 0.5) = 0.622019
    assert psi(counts(50, 50), counts(90, 10)) == pytest.approx(0.853059, abs=2e-6)


def test_shares_that_agree_give_0_and_the_order_of_splits_does_not_matter():
    assert psi(counts(10, 20, 30), counts(100, 200, 300)) == pytest.approx(0, abs=1e-3)
    assert psi(counts(10, 20, 30), counts(10, 20, 30)) == 0
    assert psi(counts(5, 1), counts(2, 9)) == psi(counts(2, 9), counts(5, 1))


def test_bins_that_nobody_uses_change_nothing():
    assert psi(counts(5, 0, 1), counts(2, 0, 9)) == psi(counts(5, 1), counts(2, 9))
    assert psi_by_chance(counts(5, 0, 1), counts(2, 0, 9)) == psi_by_chance(counts(5, 1), counts(2, 9))


def test_an_empty_bin_gives_a_finite_drift():
    assert 3 < psi(counts(1000, 0), counts(500, 500)) < 5


def test_without_rows_there_is_nothing_to_compare():
    assert psi(counts(1, 2), counts(0, 0)) == 0
    assert psi_by_chance(counts(1, 2), counts(0, 0)) == 0
    assert psi_by_chance(counts(7, 0), counts(9, 0)) == 0


@pytest.mark.parametrize("bins", [2, 3, 11, 103])
def test_the_bar_of_chance_is_the_quantile_of_chi_squared(bins):
    expected, actual = np.full(bins, 1000), np.full(bins, 100)
    bar = (1 / expected.sum() + 1 / actual.sum()) * chi2.ppf(0.999, bins - 1)
    assert psi_by_chance(expected, actual) == pytest.approx(bar, rel=0.04)


def test_two_samples_of_one_population_stay_below_the_bar():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(20, 5.0))
    pairs = [(rng.multinomial(20_000, shares), rng.multinomial(2000, shares)) for _ in range(400)]
    above = sum(psi(one, other) > psi_by_chance(one, other) for one, other in pairs)
    assert above <= 4  # 0.4 are expected
    assert np.mean([psi(one, other) for one, other in pairs]) == pytest.approx(19 * (1 / 20_000 + 1 / 2000), rel=0.1)


def test_rare_rows_move_to_the_unseen_bin():
    head = counts(10, 5, 40, 30, 25)  # unseen, missing, two values, all others
    np.testing.assert_array_equal(with_expected_unseen(head, 7), [17, 5, 40, 30, 18])
    np.testing.assert_array_equal(with_expected_unseen(head, 0), head)
    np.testing.assert_array_equal(with_expected_unseen(head, 99), [35, 5, 40, 30, 0])


def test_the_expected_share_of_unseen_rows():
    assert unseen_expected(10, 7, 100) == 0.17
    assert unseen_expected(0, 0, 0) == 0
    # Good-Turing against a draw: 5,000 rows of 3,000 equally frequent values, then as many again.
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 3000, 5000), rng.integers(0, 3000, 5000)
    once = np.bincount(first, minlength=3000)
    unseen = np.isin(second, np.flatnonzero(once == 0)).mean()
    assert unseen_expected(0, int((once == 1).sum()), 5000) == pytest.approx(unseen, abs=0.02)


def test_missing_numbers_leave_the_bin_of_zero():
    histogram, part = counts(4, 10, 6), counts(0, 4, 9)
    binned = number_counts(histogram, 7, part, zero=1)
    np.testing.assert_array_equal(binned, [7, 4, 0, 0, 0, 3, 0, 0, 0, 0, 6])
