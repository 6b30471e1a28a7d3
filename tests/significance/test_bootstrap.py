"""The bootstrap against the normal error of a mean, and against resamples drawn row by row."""

from __future__ import annotations

import numpy as np
import pytest

from ctrfast.metrics import Predictions
from ctrfast.significance import bootstrap as module
from ctrfast.significance.bootstrap import FIGURES, bootstrap, unpaired_difference


def rows(count=3000, seed=2):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1, count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    return labels, logits + 0.05 * rng.normal(size=count), logits + 0.3 * rng.normal(size=count)


def figures(labels, logits):
    predictions = Predictions()
    predictions.add(labels, logits)
    return predictions.metrics()


def losses(labels, logits):
    return np.logaddexp(0, logits) - labels * logits


def test_figures_are_those_of_the_metrics():
    labels, first, second = rows()
    boot = bootstrap(labels, [first, second])
    for model, logits in enumerate((first, second)):
        expected = figures(labels, logits)
        for name in FIGURES:
            estimate = boot.estimate(model, name)
            assert estimate.value == pytest.approx(expected[name], rel=1e-6)
            assert estimate.low < estimate.value < estimate.high


def test_a_mean_has_the_error_of_a_mean():
    labels, first, second = rows()
    boot = bootstrap(labels, [first, second])
    for values, found in (
        (losses(labels, first), boot.estimate(0, "log_loss")),
        (losses(labels, second) - losses(labels, first), boot.difference(0, 1, "log_loss")),
    ):
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert found.value == pytest.approx(values.mean(), abs=1e-9)
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert boot.difference(0, 1, "log_loss").p == 2 / 1001  # the second one's noise is far beyond chance
    same = bootstrap(labels, [first, first]).difference(0, 1, "brier")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_ratio_has_the_error_of_resamples_drawn_row_by_row():
    labels, first, _ = rows(500)
    rng = np.random.default_rng(3)
    drawn = []
    for _ in range(400):
        pick = rng.integers(len(labels), size=len(labels))
        drawn.append([figures(labels[pick], first[pick])[name] for name in FIGURES])
    boot = bootstrap(labels, [first])
    for name, values in zip(FIGURES, np.transpose(drawn), strict=True):
        assert np.std(boot.replicates[0][name]) == pytest.approx(np.std(values), rel=0.16), name


def test_rows_in_groups_vary_as_single_rows_do(monkeypatch):
    labels, first, second = rows(6000)
    single = bootstrap(labels, [first, second]).difference(0, 1, "log_loss")
    monkeypatch.setattr(module, "_MOST_GROUPS", 700)
    grouped = bootstrap(labels, [first, second]).difference(0, 1, "log_loss")
    assert grouped.value == pytest.approx(single.value, abs=1e-12)
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.15)


def test_other_rows_and_one_class():
    labels, first, second = rows()
    earlier, later = bootstrap(labels[:1500], [first[:1500]], 1), bootstrap(labels[1500:], [second[1500:]], 2)
    found = unpaired_difference(earlier, later, "log_loss")
    halves = losses(labels, first)[:1500], losses(labels, second)[1500:]
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in halves))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.12)
    none = bootstrap(np.zeros(50), [first[:50], second[:50]])
    assert none.estimate(0, "calibration_ratio") is None
    assert none.difference(0, 1, "normalised_entropy") is None
    assert none.difference(0, 1, "log_loss") is not None


def test_the_same_seed_gives_the_same_numbers():
    labels, first, _ = rows(300)
    assert bootstrap(labels, [first]).estimate(0, "brier") == bootstrap(labels, [first]).estimate(0, "brier")
