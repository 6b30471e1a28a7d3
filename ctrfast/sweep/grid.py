"""A sweep's settings: a train config, and for some settings the values to try; their product is the points.

    base: {epochs: 2, model: {name: deepfm}}
    grid: {scaling.rule: [none, cowclip], batch_size: [1024, 8192], seed: [1, 2, 3]}

Points do not depend on the order in which the grid is written: rules come first, then batch sizes, then other settings
by name, seeds last.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.config import TrainConfig, parse_config
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.yaml_text import read_yaml

MOST_POINTS = 1000
SEED = "seed"
_FIRST = ("scaling.rule", "batch_size")
_LONGEST_NAME = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9.+=_-]+")


class SweepConfig(BaseModel):
    """What a sweep tries. base: settings of all runs. grid: values to try, by dotted name; they win over the base's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1)


@dataclass(frozen=True)
class Point:
    """One run of a sweep. name: of its folder. settings: what the grid sets for it. values: all that is set."""

    name: str
    settings: Mapping[str, Any]
    values: Mapping[str, Any]
    config: TrainConfig


def parse_sweep(values: Mapping[str, Any]) -> SweepConfig:
    """Read a sweep's settings, and look at each of its points.

    Raises:
        ConfigError: a setting is unknown, or breaks a rule in one of the points; there are more than `MOST_POINTS`.
    """
    for name in values:
        if name not in SweepConfig.model_fields:
            raise unknown_name("setting", str(name), SweepConfig.model_fields, path=str(name))
    try:
        config = SweepConfig.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"`{path}` breaks a rule: {first['msg']}.", path=path) from error
    sweep_points(config)
    return config


def read_sweep(file: Path) -> tuple[SweepConfig, Path | None]:
    """A sweep's settings from YAML, and the dataset's folder where `data` names it. Raises ConfigError."""
    values = read_yaml(file)
    if not isinstance(values, dict):
        raise ConfigError(f"The file {file} must hold settings by name. Got {type(values).__name__}.")
    data = values.pop("data", None)
    if not isinstance(data, str | None):
        raise ConfigError(f"`data` must be the folder of a dataset. Got {data!r}.", path="data")
    return parse_sweep(values), None if data is None else Path(data)


def sweep_points(config: SweepConfig) -> tuple[Point, ...]:
    """All points, in the order in which they run. Raises ConfigError, as `parse_sweep` does."""
    names = ordered_names(config.grid)
    sizes = [len(config.grid[name]) for name in names]
    if math.prod(sizes) > MOST_POINTS:
        product = " x ".join(f"{size} of {name}" for name, size in zip(names, sizes, strict=True))
        problem = f"The grid must have at most {MOST_POINTS:,} points. Got {product} = {math.prod(sizes):,}."
        raise ConfigError(f"{problem} Try fewer values.", path="grid")
    points = tuple(_points(config, names))
    seen: dict[str, Point] = {}
    for point in points:
        twin = seen.setdefault(point.config.model_dump_json(), point)
        if twin is not point:
            same = " and ".join(sorted({settings_text(twin.settings), settings_text(point.settings)}))
            raise ConfigError(f"The grid has a run more than once: {same}. Leave one out.", path="grid")
    return points


def ordered_names(names: Iterable[str]) -> list[str]:
    """A grid's settings in the order of the points: rules, batch sizes, others by name, seeds."""
    return sorted(names, key=_place)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in a line, as messages show them: `scaling.rule=cowclip, batch_size=8192, seed=1`."""
    return ", ".join(f"{name}={_text(value)}" for name, value in settings.items())


def place_of(settings: Mapping[str, Any], error: ConfigError) -> str:
    """The place of a setting at fault in a sweep's own settings."""
    if error.path is None:
        return "grid"
    return f"grid.{error.path}" if error.path in settings else f"base.{error.path}"


def _place(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return (_FIRST.index(name), "")
    return (len(_FIRST) + (name == SEED), name)


def _points(config: SweepConfig, names: list[str]) -> Iterator[Point]:
    for chosen in itertools.product(*(config.grid[name] for name in names)):
        settings = dict(zip(names, chosen, strict=True))
        values = json.loads(json.dumps(config.base))  # a copy of its own, all the way down
        for name, value in settings.items():
            _assign(values, name, value)
        try:
            parsed = parse_config(values)
        except ConfigError as error:
            raise ConfigError(
                f"The point {settings_text(settings)}: {error.message}", path=place_of(settings, error)
            ) from error
        yield Point(_folder_name(settings), settings, values, parsed)


def _assign(values: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"`{parent}` holds a value, not settings. Got {name!r}.", path=f"grid.{name}")
    values[last] = value


def _folder_name(settings: Mapping[str, Any]) -> str:
    """A name that tells the settings; where it cannot tell all of them, the first digits of their digest follow."""
    whole = "_".join(f"{name.rpartition('.')[2]}={_text(value)}" for name, value in settings.items())
    safe = _UNSAFE.sub("-", whole)[:_LONGEST_NAME]
    last_names = {name.rpartition(".")[2] for name in settings}
    if safe == whole and len(last_names) == len(settings):
        return safe
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{safe}-{digest[:8]}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(_text(of) for of in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
