"""Points asked of Optuna (Akiba et al. 2019, arXiv:1907.10902), one after the other, each after all before have ended.

What is asked next follows from the search's seed and the trials so far alone: a study is made anew for each question,
so a sweep that was killed asks the same again. Needs the extra `optuna`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from ctrfast.errors import DependencyError
from ctrfast.sweep.space import Range, Search


@dataclass(frozen=True)
class Trial:
    """What a point came to: the validation AUC, the highest one before it was pruned, or none where it failed."""

    settings: Mapping[str, Any]
    state: Literal["succeeded", "pruned", "failed"]
    value: float | None = None


def ask(search: Search, grid: Mapping[str, list[Any] | Range], trials: Sequence[Trial]) -> dict[str, Any]:
    """The settings to try next.

    Args:
        search: seed and sampler.
        grid: what each setting may be, without the seeds.
        trials: all points so far, in the order in which they were asked.

    Raises:
        DependencyError: Optuna is not installed.
    """
    optuna = _optuna()
    samplers = {
        "tpe": optuna.samplers.TPESampler,
        "nsgaii": optuna.samplers.NSGAIISampler,
        "random": optuna.samplers.RandomSampler,
    }
    sampler = samplers[search.sampler](seed=search.seed + len(trials))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {name: _distribution(optuna, values) for name, values in grid.items()}
    for trial in trials:
        study.add_trial(_told(optuna, trial, grid, distributions))
    asked = study.ask(distributions).params
    return {name: _value(values, asked[name]) for name, values in grid.items()}


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise DependencyError(
            "The search `optuna` needs the package optuna. Install it with `pip install 'ctrfast[optuna]'`.",
            path="search.name",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: ModuleType, values: list[Any] | Range) -> Any:
    if not isinstance(values, Range):
        places = range(len(values))  # a value may be a list, which Optuna does not take
        return optuna.distributions.CategoricalDistribution(places)
    if values.integer:
        return optuna.distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
    return optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)


def _value(values: list[Any] | Range, asked: Any) -> Any:
    return values.rounded(asked) if isinstance(values, Range) else values[asked]


def _told(
    optuna: ModuleType, trial: Trial, grid: Mapping[str, list[Any] | Range], distributions: Mapping[str, Any]
) -> Any:
    params = {
        name: trial.settings[name] if isinstance(values, Range) else values.index(trial.settings[name])
        for name, values in grid.items()
    }
    states = optuna.trial.TrialState
    told = {
        "succeeded": {"state": states.COMPLETE, "value": trial.value},
        "pruned": {"state": states.PRUNED, "intermediate_values": {1: trial.value}},
        "failed": {"state": states.FAIL},
    }[trial.state]
    return optuna.trial.create_trial(params=params, distributions=dict(distributions), **told)
