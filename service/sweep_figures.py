"""What a sweep's children came to: figures over seeds and the best one, as its metrics and as its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ctrfast.config import TrainConfig
from ctrfast.errors import ConfigError
from ctrfast.sweep.grid import ordered_names
from ctrfast.sweep.groups import Outcome, best_outcome, group_over_seeds
from service.specs import parse_train_spec
from service.states import State
from service.tables import Job
from service.taken_runs import TAKEN_FROM


def sweep_metrics(parent: Job, children: Sequence[Job]) -> dict[str, Any]:
    """`groups` over the seeds of those that succeeded, and the `best` of them by validation AUC, or None.

    `seconds` count from a child's first start to its end.
    """
    outcomes = [
        Outcome(child.id, child_settings(parent, child), {**child.metrics, "seconds": seconds_of(child)})
        for child in children
        if child.state == State.SUCCEEDED
    ]
    best = best_outcome(outcomes)
    return {
        "groups": [asdict(group) for group in group_over_seeds(outcomes)],
        "best": None
        if best is None
        else {"job": best.name, "settings": dict(best.settings), "valid_auc": best.figures["valid_auc"]},
    }


def child_settings(parent: Job, child: Job) -> dict[str, Any]:
    """What the sweep's grid sets for a child, by dotted name, in the order of the points' names."""
    return {name: _value(child.spec, name) for name in ordered_names(parent.spec["grid"])}


def child_config(child: Job) -> TrainConfig | None:
    """All settings of a child; None where they are those of another version of ctrfast."""
    try:
        return parse_train_spec(child.spec).config
    except ConfigError:
        return None


def seconds_of(job: Job) -> float | None:
    """From a job's first start to its end; None where it took over a run."""
    if TAKEN_FROM in job.result:
        return None
    return job.finished_at - job.started_at if job.finished_at and job.started_at else None


def _value(spec: Mapping[str, Any], name: str) -> Any:
    value: Any = spec
    for part in name.split("."):
        value = value[part]
    return value
