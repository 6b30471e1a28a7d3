"""The bootstrap against the normal error of a mean, and against resamples drawn row by row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score

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


def test_pr_auc_and_ece_have_the_error_of_resamples_of_scikit_learn():
    """Both figures by another program: average precision, and the bins of a calibration curve."""
    labels, first, second = rows(4000)
    boot = bootstrap(labels, [first, second])
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(300):
        pick = rng.integers(len(labels), size=len(labels))
        drawn.append([figure(labels[pick], logits[pick]) for figure in (pr_of, ece_of) for logits in (first, second)])
    pr_1, pr_2, ece_1, ece_2 = np.transpose(drawn)
    assert np.std(boot.replicates[0]["pr_auc"]) == pytest.approx(np.std(pr_1), rel=0.12)
    assert np.std(boot.replicates[1]["ece"]) == pytest.approx(np.std(ece_2), rel=0.2)
    found = boot.difference(0, 1, "pr_auc")
    assert found.value == pytest.approx(pr_of(labels, second) - pr_of(labels, first), abs=1e-9)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(pr_2 - pr_1), rel=0.15)
    assert found.high < 0  # noise makes the ranking worse
    found = boot.difference(0, 1, "ece")
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(ece_2 - ece_1), rel=0.2)


def pr_of(labels, logits):
    return average_precision_score(labels, logits)


def ece_of(labels, logits):
    probabilities = 1 / (1 + np.exp(-logits))
    seen, predicted = calibration_curve(labels, probabilities, n_bins=20, strategy="quantile")
    return np.abs(seen - predicted).mean()


def test_an_ece_that_is_far_from_0_has_the_error_of_a_mean():
    """All predictions are too high: the ECE is then the mean distance of prediction and label."""
    labels, first, _ = rows(4000)
    high = first + 1.5
    distances = 1 / (1 + np.exp(-high)) - labels
    found = bootstrap(labels, [high]).estimate(0, "ece")
    assert found.value == pytest.approx(distances.mean(), abs=1e-9)
    error = distances.std(ddof=1) / np.sqrt(len(labels))
    assert (found.low, found.high) == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error), abs=1e-3)


def test_an_ece_is_inside_its_interval_and_never_below_0():
    labels, first, _ = rows(4000)
    boot = bootstrap(labels, [first])
    found = boot.estimate(0, "ece")
    assert 0 <= found.low < found.value < found.high
    assert boot.replicates[0]["ece"].mean() == pytest.approx(found.value, rel=0.01)


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


@pytest.mark.parametrize("clicks", [1, 5])
def test_few_clicks_leave_a_pr_auc_undefined_in_some_resamples(clicks):
    labels, (first, second) = np.arange(200) < clicks, np.random.default_rng(3).normal(size=(2, 200))
    boot = bootstrap(labels, [first, second])
    assert boot.estimate(0, "pr_auc") is None and boot.difference(0, 1, "pr_auc") is None
    assert boot.estimate(0, "brier") is not None


def test_a_pr_auc_s_interval_is_within_its_bounds():
    labels = np.arange(200) < 20
    good = bootstrap(labels, [np.where(np.arange(200) == 0, -0.5, labels) - np.arange(200) / 1000])
    assert good.replicates[0]["pr_auc"].max() > 1.0
    found = good.estimate(0, "pr_auc")
    assert 0.0 < found.low < found.value < found.high == 1.0


def test_the_same_seed_gives_the_same_numbers():
    labels, first, _ = rows(300)
    assert bootstrap(labels, [first]).estimate(0, "brier") == bootstrap(labels, [first]).estimate(0, "brier")
