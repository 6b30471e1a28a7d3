"""What a sweep may draw from: lists of values and ranges, and how many points to draw.

    search: {name: random, points: 20, seed: 1}
    grid:
      optimizer.lr_embed: {low: 1e-4, high: 1e-2, log: true}
      model.embedding_dim: {low: 4, high: 32, integer: true}

Drawn numbers are rounded to four digits: more tell nothing, and folders are named by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from ctrfast.errors import ConfigError

SEED = "seed"
MOST_POINTS = 1000


class Range(BaseModel):
    """Numbers from low to high, both among them. log: evenly by their logarithm. integer: whole ones alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = Field(default=False, strict=True)
    integer: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        if self.log and self.low <= 0:
            raise ValueError("`low` must be above 0 for a logarithm")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("`low` and `high` must be whole numbers")
        return self

    @property
    def ends(self) -> list[float | int]:
        """The lowest and the highest number."""
        return [self.rounded(self.low), self.rounded(self.high)]

    def draw(self, rng: np.random.Generator) -> float | int:
        """A number."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.integer else (self.low, self.high)
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        return self.rounded(value)

    def rounded(self, value: float) -> float | int:
        """A number of the range near to a value."""
        near = min(max(float(round(value) if self.integer else f"{value:.4g}"), self.low), self.high)
        return int(near) if self.integer else near


class Search(BaseModel):
    """How points are found, where not all of a grid are tried.

    name: drawn at random, or asked of Optuna one after the other. points: how many; each is run with each seed of the
    grid. seed: of the drawing. sampler: of Optuna.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["random", "optuna"]
    points: int = Field(ge=1, le=MOST_POINTS, strict=True)
    seed: int = Field(default=1, ge=0, le=2**31 - 1, strict=True)
    sampler: Literal["tpe", "nsgaii", "random"] = "tpe"

    @model_validator(mode="after")
    def _has_a_sampler(self) -> Self:
        if self.name != "optuna" and "sampler" in self.model_fields_set:
            raise ValueError("`sampler` belongs to optuna")
        return self


def _kind(value: object) -> str:
    return "range" if isinstance(value, Mapping | Range) else "list"


Values = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_kind)
]
Grid = Annotated[dict[str, Values], Field(min_length=1)]


def seeds_of(grid: Mapping[str, list[Any] | Range]) -> list[Any] | None:
    """The seeds that each drawn point is run with; None where the grid says nothing of them.

    Raises:
        ConfigError: they are a range.
    """
    seeds = grid.get(SEED)
    if isinstance(seeds, Range):
        raise ConfigError(
            "`seed` must be a list: each point is run with each of its seeds. Got a range.", path=f"grid.{SEED}"
        )
    return seeds
