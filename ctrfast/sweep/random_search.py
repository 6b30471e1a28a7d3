"""Points drawn at random from lists and ranges; the same seed draws the same points, and none twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ctrfast.errors import ConfigError
from ctrfast.sweep.space import Range, Search

_TRIES_PER_POINT = 100


def drawn_settings(search: Search, names: Sequence[str], grid: Mapping[str, list[Any] | Range]) -> list[dict[str, Any]]:
    """Settings of `search.points` points.

    Args:
        search: how many, and the seed.
        names: of the settings, in the order in which they are drawn.
        grid: what each may be.

    Raises:
        ConfigError: there are not so many different points.
    """
    rng = np.random.default_rng(search.seed)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(_TRIES_PER_POINT * search.points):
        settings = {name: _draw(grid[name], rng) for name in names}
        found.setdefault(json.dumps(settings), settings)
        if len(found) == search.points:
            return list(found.values())
    problem = f"`points` must be at most the number of different points. Got points={search.points:,}"
    raise ConfigError(f"{problem}, and drew {len(found):,} different ones. Ask for fewer.", path="search.points")


def _draw(values: list[Any] | Range, rng: np.random.Generator) -> Any:
    return values.draw(rng) if isinstance(values, Range) else values[rng.integers(len(values))]
