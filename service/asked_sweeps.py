"""A sweep whose points are asked of Optuna: each round follows from what the rounds before came to.

Nothing is kept but the jobs themselves, in the order of their points: a round is as many of them as the grid has seeds.
A run that failed or was cancelled tells Optuna so; the search goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctrfast.sweep.rounds import ask_round, count_points, is_asked, points_per_round, round_points, trial_of
from ctrfast.sweep.space import SEED
from service.pruned_runs import PRUNED, is_pruned
from service.sweep_figures import child_settings
from service.sweep_specs import SweepSpec
from service.tables import Job


def runs_to_come(sweep: Job) -> int:
    """How many runs a sweep that is asked will have in all; 0 for any other, which has all of them from the start."""
    spec = SweepSpec.model_validate(sweep.spec)
    return count_points(spec.config) if is_asked(spec.config) else 0


def next_round(sweep: Job, children: Sequence[Job]) -> list[dict[str, Any]]:
    """Train specs to run next, of a sweep that has points left to ask.

    Args:
        sweep: the parent.
        children: its runs so far, all of which have ended, in the order of its points.

    Raises:
        DependencyError: Optuna is not installed.
    """
    spec = SweepSpec.model_validate(sweep.spec)
    width = points_per_round(spec.config)
    rounds = [children[first : first + width] for first in range(0, len(children), width)]
    trials = [trial_of(_asked(sweep, runs[0]), [_row(run) for run in runs]) for runs in rounds]
    return spec.specs_of(round_points(spec.config, ask_round(spec.config, trials)))


def _asked(sweep: Job, run: Job) -> dict[str, Any]:
    return {name: value for name, value in child_settings(sweep, run).items() if name != SEED}


def _row(run: Job) -> Mapping[str, Any]:
    return {"state": PRUNED if is_pruned(run) else run.state, "metrics": run.metrics}
