"""Metrics against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from ctrfast.metrics import (
    Predictions,
    auc,
    brier_score,
    calibration_ratio,
    expected_calibration_error,
    log_loss,
    normalised_entropy,
    pr_auc,
    sigmoid,
)


@pytest.mark.parametrize("digits", [None, 1, 0], ids=["distinct", "ties", "many ties"])
def test_areas_equal_scikit_learn(digits):
    rng = np.random.default_rng(1)
    labels = rng.random(5000) < 0.2
    scores = rng.normal(size=5000) + labels
    scores = scores if digits is None else scores.round(digits)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert pr_auc(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_log_loss_equals_scikit_learn_and_survives_certain_logits():
    rng = np.random.default_rng(2)
    labels, logits = rng.random(1000) < 0.3, rng.normal(size=1000)
    assert log_loss(labels, logits) == pytest.approx(sklearn_log_loss(labels, sigmoid(logits)), abs=1e-12)
    assert log_loss([0, 1], [1000.0, -1000.0]) == 1000


def test_brier_equals_scikit_learn():
    rng = np.random.default_rng(4)
    labels, probabilities = rng.random(1000) < 0.3, rng.random(1000)
    assert brier_score(labels, probabilities) == pytest.approx(brier_score_loss(labels, probabilities), abs=1e-12)


def test_normalised_entropy_of_the_label_rate_is_one():
    labels = np.repeat([1, 0], [3, 9])
    assert normalised_entropy(labels, np.full(12, np.log(0.25 / 0.75))) == pytest.approx(1)


def test_calibration_by_hand():
    labels, probabilities = [0, 1, 1, 1], [0.1, 0.3, 0.9, 0.7]
    assert calibration_ratio(labels, probabilities) == pytest.approx(2 / 3)
    # Two bins: {0.1, 0.3} with one click of two, {0.7, 0.9} with two of two.
    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx((0.6 + 0.4) / 4)
    rng = np.random.default_rng(5)
    fair = rng.random(200_000)
    clicks = rng.random(200_000) < fair
    assert expected_calibration_error(clicks, fair) < 0.005
    assert expected_calibration_error(clicks, fair / 2) == pytest.approx(0.25, abs=0.005)


def test_weights_of_rows_without_a_click_equal_scikit_learn():
    rng = np.random.default_rng(6)
    labels, logits, weight = rng.random(2000) < 0.3, rng.normal(size=2000).round(2).astype(np.float32), 8.0
    weights, p = np.where(labels, 1.0, weight), sigmoid(logits)
    predictions = Predictions(weight)
    predictions.add(labels, logits)
    rate = np.average(labels, weights=weights)
    loss = sklearn_log_loss(labels, p, sample_weight=weights)
    entropy = sklearn_log_loss(labels, np.full(2000, rate), sample_weight=weights)
    figures = predictions.metrics()
    ece = figures.pop("ece")
    assert figures == pytest.approx(
        {
            "auc": roc_auc_score(labels, p, sample_weight=weights),
            "log_loss": loss,
            "normalised_entropy": loss / entropy,
            "pr_auc": average_precision_score(labels, p, sample_weight=weights),
            "calibration_ratio": (weights * p).sum() / labels.sum(),
            "brier": brier_score_loss(labels, p, sample_weight=weights),
            "rows": 2000,
        },
        abs=1e-9,
    )
    # One bin: the distance of the mean prediction and the click rate, both by weight.
    assert expected_calibration_error(labels, p, bins=1, negative_weight=weight) == pytest.approx(
        abs(np.average(p, weights=weights) - rate)
    )
    assert ece >= abs(np.average(p, weights=weights) - rate) - 1e-9


@pytest.mark.parametrize("labels, also", [([0, 0], set()), ([1, 1], {"pr_auc", "calibration_ratio"})])
def test_what_one_class_leaves_undefined_is_absent(labels, also):
    assert auc(labels, [0.1, 0.2]) is None
    predictions = Predictions()
    predictions.add(labels, [0.1, 0.2])
    assert set(predictions.metrics()) == {"rows", "log_loss", "ece", "brier"} | also


def test_merged_parts_equal_the_whole():
    rng = np.random.default_rng(3)
    labels, logits = rng.random(999) < 0.3, rng.normal(size=999).astype(np.float32)
    whole, left, right = Predictions(), Predictions(), Predictions()
    whole.add(labels, logits)
    left.add(labels[:100], logits[:100])
    right.add(labels[100:], logits[100:])
    left.merge(right)
    assert left.metrics() == pytest.approx(whole.metrics(), abs=1e-12)
    assert Predictions().metrics() == {}


def test_the_range_of_logits_is_each_tasks():
    """One that is the same for all rows must be seen beside another that is not."""
    predictions = Predictions(tasks=("click", "buy"))
    predictions.add(np.zeros((3, 2), np.float32), np.array([[-1, 2], [-1, 4], [-1, 3]], np.float32))
    assert predictions.logit_ranges() == {"click": (-1, -1), "buy": (2, 4)}
