"""What `ctrfast sweep` prints at the end: no figure is cut, however narrow the terminal."""

from __future__ import annotations

from ctrfast.console import print_sweep
from ctrfast.sweep import Outcome, SweepResult, best_outcome, group_over_seeds


def test_a_line_per_group_then_the_best_and_what_failed(capsys):
    figures = {"test_auc": 0.75, "test_log_loss": 0.45, "valid_auc": 0.76, "seconds": 90.0, "rows_per_s": 39_000.0}
    settings = [{"scaling.rule": "cowclip", "batch_size": 131072, "seed": seed} for seed in (1, 2)]
    outcomes = [
        Outcome("first", settings[0], figures),
        Outcome("second", settings[1], {**figures, "test_auc": 0.76, "valid_auc": 0.77, "seconds": 102.0}),
        Outcome("alone", {**settings[0], "batch_size": 1024}, {"test_auc": 0.7}),
    ]
    failed = {"state": "failed", "name": "third", "reason": "nan_loss", "message": "The loss is no number."}
    pruned = {"state": "pruned", "name": "fourth", "reason": "median", "message": "After epoch 1 it was too low."}
    print_sweep(SweepResult((failed, pruned), group_over_seeds(outcomes), best_outcome(outcomes)))
    head, *lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert head == "scaling.rule batch_size runs test AUC test log loss minutes rows/s"
    assert lines == [
        "cowclip 131072 2 0.7550 ± 0.0071 0.4500 ± 0.0000 1.6 ± 0.1 39,000 ± 0",
        "cowclip 1024 1 0.7000 - - -",
        "best by validation AUC: second (0.7700)",
        "pruned: fourth: After epoch 1 it was too low.",
        "failed: third: nan_loss: The loss is no number.",
    ]


def test_nothing_to_tell(capsys):
    print_sweep(SweepResult((), (), None))
    assert capsys.readouterr().out == ""
