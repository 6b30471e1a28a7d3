"""The median rule by hand, and on a real run: it stops at the epoch's end, and goes on to the same bytes."""

from __future__ import annotations

import pytest

from ctrfast.errors import Cancelled
from ctrfast.loop.progress import Progress
from ctrfast.sweep.pruning import Pruner, epoch_aucs, medians
from ctrfast.train import train
from tests.tiny_clicks import evaluations, same_run, settings


def test_medians_by_epoch_where_enough_runs_have_one():
    assert medians([{1: 0.5, 2: 0.6}, {1: 0.7, 2: 0.9}, {1: 0.6}]) == {1: 0.6}
    assert medians([{1: 0.5}, {1: 0.7}]) == {}
    assert medians([{1: 0.5}, {1: 0.7}, {1: 0.6}, {1: 0.8}]) == {1: pytest.approx(0.65)}
    assert medians([]) == {}


def at(step, auc):
    return Progress(0, step, 40, 0, 0.0, None, {"valid_auc": auc})


def test_a_run_is_judged_at_the_end_of_each_epoch_but_the_last():
    pruner = Pruner({1: 0.6, 2: 0.7, 4: 0.9}, 10, 4)
    for step, auc in ((5, 0.1), (10, 0.6), (15, 0.1), (30, 0.1), (40, 0.1)):
        pruner.see(at(step, auc))
    assert (pruner.is_hopeless, pruner.message) == (False, None)
    pruner.see(at(20, 0.69))
    assert (pruner.is_hopeless, pruner.auc) == (True, 0.69)
    assert "After epoch 2 its validation AUC was 0.6900, below the median 0.7000" in pruner.message


def test_a_real_run_that_is_pruned_can_go_on(tiny_dataset, tmp_path):
    config, steps = settings(epochs=3), tiny_dataset.rows("train") // 250
    train(tiny_dataset, config, tmp_path / "whole")
    aucs = epoch_aucs(tmp_path / "whole", steps)
    assert list(aucs.items()) == [(step // steps, auc) for step, auc in evaluations(tmp_path / "whole")]
    pruner = Pruner({1: 0.0, 2: 1.0}, steps, config.epochs)
    out = tmp_path / "pruned"
    with pytest.raises(Cancelled, match=f"after {2 * steps} of"):
        train(tiny_dataset, config, out, on_progress=pruner.see, should_stop=lambda: pruner.is_hopeless)
    assert pruner.auc == aucs[2]
    assert list(out.glob("checkpoints/step-*"))
    train(tiny_dataset, config, out, resume=True)
    same_run(tmp_path / "whole", out)
