"""Rises, patience, lower rates and chance, by hand."""

import pytest

from ctrfast.config import parse_config
from ctrfast.errors import TrainingError
from ctrfast.loop.validation_watch import ValidationWatch


def watch(**values):
    return ValidationWatch(parse_config(values), steps_per_epoch=10)


def show(watch, *aucs, first=10):
    """After each evaluation: (step of the best, wants lower rates, has ended)."""
    seen = []
    for index, auc in enumerate(aucs):
        watch.see({"step": first + index, "auc": auc})
        seen.append((watch.best_step, watch.wants_lower_rates, watch.has_ended))
    return seen


def test_patience_counts_evaluations_since_the_best():
    seen = show(watch(early_stop_patience=2), 0.7, 0.6, 0.8, 0.8, 0.79)  # an equal one is no rise
    assert [best for best, _, _ in seen] == [10, 10, 12, 12, 12]
    assert [ended for _, _, ended in seen] == [False, False, False, False, True]


def test_a_plateau_lowers_the_rates_and_counts_anew():
    decay = {"optimizer": {"lr_decay": "plateau", "plateau_patience": 2}}
    seen = show(watch(**decay), 0.7, 0.6, 0.6, 0.6, 0.6, 0.71, 0.6)
    assert [lower for _, lower, _ in seen] == [False, False, True, False, True, False, False]


def test_a_plateau_without_patience_is_one_evaluation():
    assert [lower for _, lower, _ in show(watch(optimizer={"lr_decay": "plateau"}), 0.7, 0.7, 0.8)] == [
        False,
        True,
        False,
    ]


def test_without_settings_nothing_is_decided():
    watched = watch()
    assert show(watched, 0.7, 0.6, 0.6, 0.6, 0.6)[-1] == (10, False, False)
    watched.refuse_chance()


@pytest.mark.parametrize(
    "first, aucs, stops",
    [
        (10, (0.5, 0.5004, 0.4993), True),
        (10, (0.5, 0.5, 0.5012, 0.5, 0.5), False),
        (8, (0.5, 0.5, 0.5, 0.5), False),  # two of them within the first epoch
        (8, (0.5, 0.5, 0.5, 0.5, 0.5), True),
    ],
)
def test_chance_three_times_after_an_epoch_is_the_end(first, aucs, stops):
    watched = watch()
    show(watched, *aucs, first=first)
    if stops:
        with pytest.raises(TrainingError, match=r"stays at 0\.5"):
            watched.refuse_chance()
    else:
        watched.refuse_chance()


def test_an_evaluation_without_an_auc_changes_nothing():
    watched = watch(early_stop_patience=1)
    watched.see({"step": 10, "auc": 0.7})
    watched.see({"step": 11, "log_loss": 0.4})
    assert (watched.best_step, watched.has_ended) == (10, False)
