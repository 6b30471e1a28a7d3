"""DeLong's variances against the definition over all pairs of rows, and against a bootstrap of the difference."""

from __future__ import annotations

import numpy as np
import pytest

from ctrfast.metrics import auc
from ctrfast.significance.delong import paired_difference, placements_of, unpaired_difference


def rows(count=400, seed=1):
    """Labels and two correlated scores, with ties."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(np.int8)
    shared = rng.normal(size=count)
    first = np.round(shared + 0.5 * rng.normal(size=count) + 0.8 * labels, 1)
    second = np.round(shared + 0.5 * rng.normal(size=count) + 1.1 * labels, 1)
    return labels, first, second


def by_definition(labels, scores):
    """V10 and V01 from every pair of a click and another row."""
    x, y = scores[labels == 1], scores[labels == 0]
    psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return psi.mean(axis=1), psi.mean(axis=0)


def test_placements_and_covariance_are_those_of_the_definition():
    labels, first, second = rows()
    made = [placements_of(labels, scores) for scores in (first, second)]
    for placements, scores in zip(made, (first, second), strict=True):
        v10, v01 = by_definition(labels, scores)
        np.testing.assert_allclose(placements.clicks, v10, atol=1e-12)
        np.testing.assert_allclose(placements.others, v01, atol=1e-12)
        assert placements.auc == pytest.approx(auc(labels, scores), abs=1e-12)
    covariances = []
    for which in (0, 1):
        values = np.stack([by_definition(labels, scores)[which] for scores in (first, second)])
        covariances.append(np.cov(values) / values.shape[1])
    covariance = covariances[0] + covariances[1]
    contrast = np.array([-1.0, 1.0])
    found = paired_difference(*made)
    reach = 1.959963984540054 * np.sqrt(contrast @ covariance @ contrast)
    assert found.value == pytest.approx(auc(labels, second) - auc(labels, first), abs=1e-12)
    assert (found.value - found.low, found.high - found.value) == (pytest.approx(reach), pytest.approx(reach))
    assert made[0].variance == pytest.approx(covariance[0, 0])
    independent = unpaired_difference(*made)
    assert independent.high - independent.value == pytest.approx(1.959963984540054 * np.sqrt(np.trace(covariance)))
    assert independent.p > found.p  # the scores rise and fall together: pairing sees more


def test_the_error_is_that_of_a_bootstrap():
    labels, first, second = rows(300)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(1500):
        pick = rng.integers(len(labels), size=len(labels))
        drawn.append(auc(labels[pick], second[pick]) - auc(labels[pick], first[pick]))
    found = paired_difference(placements_of(labels, first), placements_of(labels, second))
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(drawn), rel=0.08)
    assert found.p == pytest.approx(2 * np.mean(np.asarray(drawn) <= 0), abs=0.02)


def test_the_hand_numbers_of_a_small_table():
    # Clicks 3 and 1 against 2 and 0: of the four pairs three are right. V10 = (1, 1/2), V01 = (1/2, 1).
    placements = placements_of([1, 0, 1, 0], [3.0, 2.0, 1.0, 0.0])
    assert placements.auc == 0.75
    assert placements.variance == 0.125  # 1/8 + 1/8 over two each


def test_nothing_differs_and_nothing_is_defined():
    labels, first, _ = rows()
    same = placements_of(labels, first)
    found = paired_difference(same, same)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert placements_of([1, 0, 0], [1.0, 2.0, 3.0]) is None  # one click has no variance
