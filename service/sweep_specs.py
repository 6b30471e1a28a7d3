"""A sweep's spec, and the train specs of its children.

{"base": {"dataset": "criteo", "epochs": 2}, "grid": {"scaling.rule": ["none", "cowclip"], "seed": [1, 2, 3]},
 "publish_best_as": "ctr"}

A random search has `"search": {"name": "random", "points": 20}` beside them; its points are drawn when it is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

from ctrfast.errors import ConfigError
from ctrfast.sweep.grid import Point, SweepConfig, sweep_points
from ctrfast.sweep.space import Grid, Search
from service.gates import Gates
from service.specs import Name, TrainSpec, parse_spec, parse_train_spec

_OWN = ("dataset", "warm_start")  # of a train spec, beside the library's settings


class SweepSpec(BaseModel):
    """Train on a grid, or on points drawn from it.

    base: a train spec without `publish_as`. grid: values to try, by dotted setting. search: how points are drawn.
    publish_best_as: the run with the highest validation AUC is published, once all have succeeded. gates: it must pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any]
    grid: Grid
    search: Search | None = None
    publish_best_as: Name | None = None
    gates: Gates | None = None

    @property
    def own(self) -> dict[str, Any]:
        """What the base says beside the library's settings."""
        return {name: self.base[name] for name in _OWN if name in self.base}

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The grid's points. Raises ConfigError."""
        settings = {name: value for name, value in self.base.items() if name not in _OWN}
        return sweep_points(SweepConfig(base=settings, grid=self.grid, search=self.search))

    def child_specs(self) -> list[dict[str, Any]]:
        """The train spec of each point, in order."""
        return [{**self.own, **point.values} for point in self.points]


def parse_sweep_spec(values: Mapping[str, Any], prefix: str = "spec") -> SweepSpec:
    """Read a sweep's spec, and look at each of its points.

    Raises:
        ConfigError: a setting is unknown or breaks a rule; `path` names it below `prefix`.
    """
    if "prune" in values:
        raise ConfigError(
            "`prune` is for `ctrfast sweep`: the runs of a sweep job may all run at once. Leave it out, or set "
            "`early_stop_patience` in `base`.",
            path=f"{prefix}.prune",
        )
    spec = parse_spec(SweepSpec, values, prefix)
    if spec.search is not None and spec.search.name == "optuna":
        raise ConfigError(
            "A search with optuna is for `ctrfast sweep`: it asks for a point when those before have ended, and the "
            "points of a job are queued at once. Use `random` here.",
            path=f"{prefix}.search.name",
        )
    if "publish_as" in spec.base:
        raise ConfigError(
            "The runs of a sweep publish nothing. Give `publish_best_as` beside `base` instead.",
            path=f"{prefix}.base.publish_as",
        )
    try:
        _ = spec.points
    except ConfigError as error:
        raise ConfigError(error.message, path=f"{prefix}.{error.path}") from error
    first_train_spec(spec, prefix)
    return spec


def first_train_spec(spec: SweepSpec, prefix: str = "spec") -> TrainSpec:
    """The train spec of the first point; dataset and warm start are those of all. Raises ConfigError."""
    return parse_train_spec(spec.child_specs()[0], f"{prefix}.base")
