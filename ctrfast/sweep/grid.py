"""A sweep's settings: a train config, and for some settings the values to try; their product is the points.

    base: {epochs: 2, model: {name: deepfm}}
    grid: {scaling.rule: [none, cowclip], batch_size: [1024, 8192], seed: [1, 2, 3]}

With `search` (`ctrfast.sweep.space`) points are drawn from the grid's lists and ranges instead, or asked of Optuna as
the sweep goes on. Each is run with each seed.

Points do not depend on the order in which the grid is written: rules come first, then batch sizes, then other settings
by name, seeds last.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ctrfast.config import TrainConfig, parse_config
from ctrfast.dotted import assign
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.sweep.random_search import drawn_settings
from ctrfast.sweep.space import MOST_POINTS, SEED, Grid, Range, Search, seeds_of
from ctrfast.yaml_text import read_yaml

_FIRST = ("scaling.rule", "batch_size")
_LONGEST_NAME = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9.+=_-]+")


class SweepConfig(BaseModel):
    """What a sweep tries.

    base: settings of all runs. grid: values to try, by dotted name; they win over the base's. search: how points are
    found, where not the whole grid is tried. prune: how hopeless runs are ended early (`ctrfast.sweep.pruning`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: dict[str, Any] = {}
    grid: Grid
    search: Search | None = None
    prune: Literal["median"] | None = None


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
        path = ".".join(str(part) for part in first["loc"] if part not in ("list", "range"))
        raise ConfigError(
            f"`{path}` breaks a rule: {first['msg'].removeprefix('Value error, ')}.", path=path
        ) from error
    points_to_check(config)
    return config


def read_sweep(file: Path) -> tuple[SweepConfig, Path | None]:
    """A sweep's settings from YAML, and the dataset's folder where `data` names it. Raises ConfigError."""
    values, data = read_values(file)
    return parse_sweep(values), data


def read_values(file: Path) -> tuple[dict[str, Any], Path | None]:
    """Settings by name from YAML, without `data`; and that, the dataset's folder. Raises ConfigError."""
    values = read_yaml(file)
    if not isinstance(values, dict):
        raise ConfigError(f"The file {file} must hold settings by name. Got {type(values).__name__}.")
    data = values.pop("data", None)
    if not isinstance(data, str | None):
        raise ConfigError(f"`data` must be the folder of a dataset. Got {data!r}.", path="data")
    return values, None if data is None else Path(data)


def points_to_check(config: SweepConfig) -> tuple[Point, ...]:
    """All points; of those that Optuna is asked for, ones that have each listed value and both ends of each range."""
    if config.search is None or config.search.name != "optuna":
        return sweep_points(config)
    _refuse_too_many([("points", config.search.points), (SEED, len(seeds_of(config.grid) or [None]))])
    choices = {name: values.ends if isinstance(values, Range) else values for name, values in config.grid.items()}
    first = {name: choices[name][0] for name in ordered_names(config.grid)}
    return tuple(make_point(config, {**first, name: value}) for name in first for value in choices[name])


def sweep_points(config: SweepConfig) -> tuple[Point, ...]:
    """All points, in the order in which they run.

    Raises:
        ConfigError: as `parse_sweep`, or they are Optuna's to choose, while the sweep runs.
    """
    points = tuple(make_point(config, settings) for settings in _all_settings(config))
    seen: dict[str, Point] = {}
    for point in points:
        twin = seen.setdefault(point.config.model_dump_json(), point)
        if twin is not point:
            same = " and ".join(sorted({settings_text(twin.settings), settings_text(point.settings)}))
            raise ConfigError(f"The grid has a run more than once: {same}. Leave one out.", path="grid")
    return points


def seeded_settings(config: SweepConfig, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Drawn settings with each of the grid's seeds."""
    seeds = seeds_of(config.grid)
    return [dict(settings)] if seeds is None else [{**settings, SEED: seed} for seed in seeds]


def make_point(config: SweepConfig, settings: Mapping[str, Any]) -> Point:
    """A point of a sweep. settings: by dotted name, beside the base. Raises ConfigError where they break a rule."""
    values = json.loads(json.dumps(config.base))  # a copy of its own, all the way down
    try:
        for name, value in settings.items():
            assign(values, name, value)
        parsed = parse_config(values)
    except ConfigError as error:
        message = f"The point {settings_text(settings)}: {error.message}"
        raise ConfigError(message, path=place_of(settings, error)) from error
    return Point(_folder_name(settings), settings, values, parsed)


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


def _all_settings(config: SweepConfig) -> Iterator[dict[str, Any]]:
    if config.search is None:
        yield from _grid_settings(config)
        return
    if config.search.name == "optuna":
        raise ConfigError("The points of a search with optuna are known once it has run.", path="search.name")
    seeds = seeds_of(config.grid)
    _refuse_too_many([("points", config.search.points), (SEED, len(seeds or [None]))])
    names = [name for name in ordered_names(config.grid) if name != SEED]
    for settings in drawn_settings(config.search, names, config.grid):
        yield from seeded_settings(config, settings)


def _grid_settings(config: SweepConfig) -> Iterator[dict[str, Any]]:
    names = ordered_names(config.grid)
    lists: list[list[Any]] = []
    for name in names:
        values = config.grid[name]
        if isinstance(values, Range):
            raise ConfigError(f"`{name}` is a range, of which a grid has no points. Add `search`.", path=f"grid.{name}")
        lists.append(values)
    _refuse_too_many([(name, len(values)) for name, values in zip(names, lists, strict=True)])
    for chosen in itertools.product(*lists):
        yield dict(zip(names, chosen, strict=True))


def _refuse_too_many(sizes: Sequence[tuple[str, int]]) -> None:
    count = math.prod(size for _, size in sizes)
    if count > MOST_POINTS:
        product = " x ".join(f"{size} of {name}" for name, size in sizes)
        problem = f"The grid must have at most {MOST_POINTS:,} points. Got {product} = {count:,}."
        raise ConfigError(f"{problem} Try fewer values.", path="grid")


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
