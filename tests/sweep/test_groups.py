"""Figures over seeds, compared with numbers by hand."""

from __future__ import annotations

import pytest

from ctrfast.sweep import Outcome, best_outcome, group_over_seeds


def outcome(name, rule, seed, **figures):
    return Outcome(name, {"scaling.rule": rule, "seed": seed}, figures)


def test_mean_and_sample_standard_deviation():
    outcomes = [
        outcome("a", "none", 1, test_auc=0.7, seconds=60.0),
        outcome("b", "cowclip", 1, test_auc=0.8),
        outcome("c", "none", 2, test_auc=0.72, seconds=80.0),
        outcome("d", "none", 3, test_auc=0.74, seconds=None),
    ]
    none, cowclip = group_over_seeds(outcomes)
    assert (none.settings, none.runs) == ({"scaling.rule": "none"}, 3)
    auc, seconds = none.figures["test_auc"], none.figures["seconds"]
    assert (auc.count, auc.mean, auc.sd) == (3, pytest.approx(0.72), pytest.approx(0.02))
    assert (seconds.count, seconds.mean, seconds.sd) == (2, 70.0, pytest.approx(14.142135623730951))
    assert (cowclip.figures["test_auc"].sd, set(cowclip.figures)) == (None, {"test_auc"})
    assert group_over_seeds([]) == ()


def test_the_best_is_chosen_by_validation_figures():
    outcomes = [
        outcome("a", "none", 1, valid_auc=0.7, test_auc=0.9),
        outcome("b", "none", 2, valid_auc=0.71, test_auc=0.6),
        outcome("c", "none", 3, valid_auc=None),
    ]
    best = best_outcome(outcomes)
    assert best is not None
    assert best.name == "b"
    assert best_outcome(outcomes[2:]) is None
