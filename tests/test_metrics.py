"""Metrics against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from ctrfast.metrics import Predictions, auc, log_loss, sigmoid


@pytest.mark.parametrize("digits", [None, 1, 0], ids=["distinct", "ties", "many ties"])
def test_auc_equals_scikit_learn(digits):
    rng = np.random.default_rng(1)
    labels = rng.random(5000) < 0.2
    scores = rng.normal(size=5000) + labels
    scores = scores if digits is None else scores.round(digits)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_log_loss_equals_scikit_learn_and_survives_certain_logits():
    rng = np.random.default_rng(2)
    labels, logits = rng.random(1000) < 0.3, rng.normal(size=1000)
    assert log_loss(labels, logits) == pytest.approx(sklearn_log_loss(labels, sigmoid(logits)), abs=1e-12)
    assert log_loss([0, 1], [1000.0, -1000.0]) == 1000


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_auc_of_one_class_is_none(labels):
    assert auc(labels, [0.1, 0.2]) is None
    predictions = Predictions()
    predictions.add(labels, [0.1, 0.2])
    assert set(predictions.metrics()) == {"rows", "log_loss"}


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
