import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ctrfast.data.report.leakage import SMOOTHING_ROWS, label_auc


def counts(*values):
    return np.array(values, dtype=np.int64)


def by_value(values, label):
    return np.bincount(values), np.bincount(values, weights=label).astype(np.int64)


def test_values_that_are_the_label():
    assert label_auc(counts(500, 500), counts(0, 500)) == 1
    assert label_auc(counts(500, 0, 500), counts(500, 0, 0)) == 1


def test_as_scikit_learn_on_scores_row_by_row():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 40, 3000)
    label = (rng.random(3000) < rng.random(40)[values]).astype(np.int64)
    rows, positives = by_value(values, label)
    others = rows[values] - 1
    scores = (positives[values] - label + SMOOTHING_ROWS * label.mean()) / (others + SMOOTHING_ROWS)
    auc = label_auc(rows, positives)
    assert auc == pytest.approx(roc_auc_score(label, scores), abs=1e-6)
    assert 0.7 < auc < 0.9


def test_a_value_per_row_tells_nothing_though_each_knows_its_label():
    assert label_auc(np.ones(1000, dtype=np.int64), np.arange(1000) % 2) == 0.5


def test_rare_values_without_meaning_do_not_look_like_a_leak():
    rng = np.random.default_rng(2)
    rows, positives = by_value(rng.integers(0, 5000, 10_000), rng.integers(0, 2, 10_000))
    assert label_auc(rows, positives) < 0.52


@pytest.mark.parametrize("positives", [(0, 0), (5, 6)])
def test_one_class(positives):
    assert label_auc(counts(5, 6), counts(*positives)) is None
