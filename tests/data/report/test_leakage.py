import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ctrfast.data.report.leakage import SMOOTHING_ROWS, label_auc


def counted(values, label):
    counts = np.zeros((values.max() + 1, 2, 2), dtype=np.int64)
    np.add.at(counts, (values, np.arange(len(values)) % 2, label), 1)
    return counts


def test_values_that_are_the_label():
    label = np.random.default_rng(1).integers(0, 2, 400)
    assert label_auc(counted(label, label)) == 1
    assert label_auc(counted(5 - 2 * label, label)) == 1


def test_as_scikit_learn_on_scores_row_by_row():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 40, 3000)
    label = (rng.random(3000) < rng.random(40)[values]).astype(np.int64)
    aucs = []
    for half in (0, 1):
        rows, known = slice(half, None, 2), slice(1 - half, None, 2)
        count = np.bincount(values[known], minlength=40)
        positives = np.bincount(values[known], weights=label[known], minlength=40)
        scores = (positives + SMOOTHING_ROWS * label[known].mean()) / (count + SMOOTHING_ROWS)
        aucs.append(roc_auc_score(label[rows], scores[values[rows]]))
    auc = label_auc(counted(values, label))
    assert auc == pytest.approx(np.mean(aucs), abs=1e-6)
    assert 0.7 < auc < 0.9


def test_a_value_per_row_tells_nothing_though_each_knows_its_label():
    assert label_auc(counted(np.arange(1000), np.arange(1000) // 2 % 2)) == 0.5


@pytest.mark.parametrize("values", [3, 50, 5000])
def test_values_without_meaning(values):
    rng = np.random.default_rng(3)
    auc = label_auc(counted(rng.integers(0, values, 20_000), rng.integers(0, 2, 20_000)))
    assert auc == pytest.approx(0.5, abs=0.02)


def test_one_class():
    rows = np.arange(20)
    assert label_auc(counted(rows % 3, rows * 0)) is None
    assert label_auc(counted(rows % 3, rows * 0 + 1)) is None
    assert label_auc(counted(rows[:1], rows[:1])) is None
    assert label_auc(counted(np.array([0, 0, 1]), np.array([0, 0, 1]))) == 0.5  # one half has both
