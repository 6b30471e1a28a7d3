"""Each row's influence on the PR-AUC against the slope that scikit-learn's weighted figure has."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ctrfast.significance.influence import pr_auc_influence


@pytest.mark.parametrize("decimals", [6, 1])  # 1: most scores are shared
def test_it_is_the_slope_in_the_weight_of_each_row(decimals):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(size=60) + labels, decimals)
    found = pr_auc_influence(labels, scores)
    step = 1e-5
    for row in range(len(labels)):
        moved = []
        for change in (step, -step):
            weights = np.ones(len(labels))
            weights[row] += change
            moved.append(average_precision_score(labels, scores, sample_weight=weights))
        assert found[row] / len(labels) == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-7)
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_a_ranking_without_fault_hangs_on_no_row():
    assert pr_auc_influence([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == pytest.approx([0, 0, 0, 0])
    assert pr_auc_influence([0, 0], [1.0, 2.0]) == pytest.approx([0, 0])
