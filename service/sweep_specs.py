"""A sweep's spec, and the train specs of its children.

{"base": {"dataset": "criteo", "epochs": 2}, "grid": {"scaling.rule": ["none", "cowclip"], "seed": [1, 2, 3]},
 "publish_best_as": "ctr"}
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.errors import ConfigError
from ctrfast.sweep.grid import Point, SweepConfig, sweep_points
from service.gates import Gates
from service.specs import Name, TrainSpec, parse_spec, parse_train_spec

_OWN = ("dataset", "warm_start")  # of a train spec, beside the library's settings


class SweepSpec(BaseModel):
    """Train on a grid. base: a train spec without `publish_as`. grid: values to try, by dotted setting.

    publish_best_as: the run with the highest validation AUC is published, once all have succeeded. gates: it must pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any]
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1)
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
        return sweep_points(SweepConfig(base=settings, grid=self.grid))

    def child_specs(self) -> list[dict[str, Any]]:
        """The train spec of each point, in order."""
        return [{**self.own, **point.values} for point in self.points]


def parse_sweep_spec(values: Mapping[str, Any], prefix: str = "spec") -> SweepSpec:
    """Read a sweep's spec, and look at each of its points.

    Raises:
        ConfigError: a setting is unknown or breaks a rule; `path` names it below `prefix`.
    """
    spec = parse_spec(SweepSpec, values, prefix)
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
