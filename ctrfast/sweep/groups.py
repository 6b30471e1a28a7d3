"""Outcomes that differ in their seed alone, as one group: each figure's mean and sample standard deviation.

    sd = sqrt(sum((x - mean)^2) / (n - 1)), undefined for n = 1

The best outcome is the one with the highest validation AUC: a choice by test figures would flatter them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from ctrfast.sweep.space import SEED

FIGURES = ("test_auc", "test_log_loss", "valid_auc", "valid_log_loss", "seconds", "rows_per_s")
_CHOSEN_BY = "valid_auc"


@dataclass(frozen=True)
class Outcome:
    """A point that has succeeded. name: of its run or job. figures: its final metrics, and `seconds`."""

    name: str
    settings: Mapping[str, Any]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of `count` values; sd is None for one."""

    count: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Group:
    """Outcomes with the same settings but for the seed."""

    settings: Mapping[str, Any]
    runs: int
    figures: Mapping[str, Spread]


def group_over_seeds(outcomes: Iterable[Outcome]) -> tuple[Group, ...]:
    """Groups in the order of their first outcome; a figure that no run of a group has is absent from it."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(json.dumps(_without_seed(outcome.settings)), []).append(outcome)
    return tuple(
        Group(_without_seed(members[0].settings), len(members), _figures(members)) for members in grouped.values()
    )


def best_outcome(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The first one with the highest validation AUC; None where none has such."""
    judged = [outcome for outcome in outcomes if _is_number(outcome.figures.get(_CHOSEN_BY))]
    return max(judged, key=lambda outcome: outcome.figures[_CHOSEN_BY], default=None)


def _figures(members: Sequence[Outcome]) -> dict[str, Spread]:
    found: dict[str, Spread] = {}
    for name in FIGURES:
        values = [float(of.figures[name]) for of in members if _is_number(of.figures.get(name))]
        if values:
            found[name] = Spread(len(values), fmean(values), stdev(values) if len(values) > 1 else None)
    return found


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != SEED}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
