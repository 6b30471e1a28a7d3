"""A sweep's spec, and the train specs of its children.

{"base": {"dataset": "criteo", "epochs": 2}, "grid": {"scaling.rule": ["none", "cowclip"], "seed": [1, 2, 3]},
 "publish_best_as": "ctr"}

A random search has `"search": {"name": "random", "points": 20}` beside them; its points are drawn when it is submitted.
Those of `"name": "optuna"` are asked round by round (`service.asked_sweeps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.errors import ConfigError, CtrFastError
from ctrfast.sweep.grid import Point, SweepConfig, points_to_check, sweep_points
from ctrfast.sweep.rounds import ask_round, is_asked, round_points
from ctrfast.sweep.space import Grid, Search
from service.gates import Gates
from service.specs import Name, TrainSpec, parse_spec, parse_train_spec

_OWN = ("dataset", "warm_start")  # of a train spec, beside the library's settings


class SweepSpec(BaseModel):
    """Train on a grid, or on points drawn from it.

    base: a train spec without `publish_as`. grid: values to try, by dotted setting. search: how points are drawn.
    prune: how hopeless runs are ended early (`service.pruned_runs`).
    publish_best_as: the run with the highest validation AUC is published, once all have succeeded. gates: it must pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any]
    grid: Grid = Field(examples=[{"scaling.rule": ["none", "cowclip"], "batch_size": [1024, 8192], "seed": [1, 2]}])
    search: Search | None = None
    prune: Literal["median"] | None = None
    publish_best_as: Name | None = None
    gates: Gates | None = None

    @property
    def own(self) -> dict[str, Any]:
        """What the base says beside the library's settings."""
        return {name: self.base[name] for name in _OWN if name in self.base}

    @cached_property
    def config(self) -> SweepConfig:
        """What the library makes of it."""
        settings = {name: value for name, value in self.base.items() if name not in _OWN}
        return SweepConfig(base=settings, grid=self.grid, search=self.search)

    @cached_property
    def first_points(self) -> Sequence[Point]:
        """Those that are queued with the sweep: all, or the first round. Raises ConfigError, DependencyError."""
        return (
            round_points(self.config, ask_round(self.config, ()))
            if is_asked(self.config)
            else sweep_points(self.config)
        )

    def child_specs(self) -> list[dict[str, Any]]:
        """The train specs of those."""
        return self.specs_of(self.first_points)

    def specs_of(self, points: Sequence[Point]) -> list[dict[str, Any]]:
        """The train spec of each point, in order."""
        return [{**self.own, **point.values} for point in points]


def parse_sweep_spec(values: Mapping[str, Any], prefix: str = "spec") -> SweepSpec:
    """Read a sweep's spec, and look at each of its points.

    Raises:
        ConfigError: a setting is unknown or breaks a rule; `path` names it below `prefix`.
        DependencyError: the search needs a package that is not installed.
    """
    spec = parse_spec(SweepSpec, values, prefix)
    if "publish_as" in spec.base:
        raise ConfigError(
            "The runs of a sweep publish nothing. Give `publish_best_as` beside `base` instead.",
            path=f"{prefix}.base.publish_as",
        )
    try:
        points_to_check(spec.config)
        _ = spec.first_points
    except CtrFastError as error:
        error.path = f"{prefix}.{error.path}"
        raise
    first_train_spec(spec, prefix)
    return spec


def first_train_spec(spec: SweepSpec, prefix: str = "spec") -> TrainSpec:
    """The train spec of the first point; dataset and warm start are those of all. Raises ConfigError."""
    return parse_train_spec(spec.child_specs()[0], f"{prefix}.base")
