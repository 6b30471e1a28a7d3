"""How two versions' scores of the same rows differ, as sums that add up over requests and processes.

sums = compared(scores, shadow_scores)      # of one request
total.add(sums)                             # any number of times, in any order
figures_of(total)                           # means, correlation, mean absolute difference, histogram
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

# Edges of |difference|: the bins are [0, 0.001), [0.001, 0.003) ... and the last one takes the rest.
EDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass
class Sums:
    """Sums over rows: of answered scores x, shadow scores y, their squares and product, |y - x|, and rows by bin.

    dropped, failed: requests that the shadow did not score, because it was behind or could not.
    """

    rows: int = 0
    requests: int = 0
    dropped: int = 0
    failed: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    bins: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))

    def add(self, other: Sums) -> None:
        """Take in the sums of other rows."""
        for name in ("rows", "requests", "dropped", "failed", "x", "y", "xx", "yy", "xy", "absolute"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)
        self.bins = [mine + theirs for mine, theirs in zip(self.bins, other.bins, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_json` made."""
        return cls(**stored)


def compared(scores: npt.NDArray[np.float32], shadow: npt.NDArray[np.float32]) -> Sums:
    """Sums of one request's rows (R,)."""
    x, y = scores.astype(np.float64), shadow.astype(np.float64)
    distance = np.abs(y - x)
    bins = np.bincount(np.searchsorted(EDGES, distance, side="right"), minlength=len(EDGES) + 1)
    return Sums(
        rows=len(x),
        requests=1,
        x=float(x.sum()),
        y=float(y.sum()),
        xx=float(x @ x),
        yy=float(y @ y),
        xy=float(x @ y),
        absolute=float(distance.sum()),
        largest=float(distance.max(initial=0.0)),
        bins=bins.tolist(),
    )


class Bin(BaseModel):
    """Rows whose scores differ by `low` or more, and less than `high`."""

    low: float
    high: float
    rows: int


class ShadowFigures(BaseModel):
    """A comparison of scores. correlation: Pearson's; None where one side does not vary.

    dropped, failed: requests that were to be compared and were not, because the shadow was behind or could not score.
    """

    rows: int
    requests: int
    dropped: int
    failed: int
    mean: float | None
    shadow_mean: float | None
    correlation: float | None
    mean_absolute_difference: float | None
    largest_difference: float
    histogram: list[Bin]


def figures_of(sums: Sums) -> ShadowFigures:
    """The figures that sums amount to."""
    n = sums.rows
    edges = (0.0, *EDGES, 1.0)
    return ShadowFigures(
        rows=n,
        requests=sums.requests,
        dropped=sums.dropped,
        failed=sums.failed,
        mean=sums.x / n if n else None,
        shadow_mean=sums.y / n if n else None,
        correlation=_correlation(sums),
        mean_absolute_difference=sums.absolute / n if n else None,
        largest_difference=sums.largest,
        histogram=[
            Bin(low=low, high=high, rows=rows) for low, high, rows in zip(edges[:-1], edges[1:], sums.bins, strict=True)
        ],
    )


def _correlation(sums: Sums) -> float | None:
    n = sums.rows
    if n < 2:
        return None
    spread_x, spread_y = sums.xx - sums.x**2 / n, sums.yy - sums.y**2 / n
    # Below this the difference of two nearly equal sums is rounding alone.
    if spread_x <= 1e-12 * sums.xx or spread_y <= 1e-12 * sums.yy:
        return None
    return min(1.0, max(-1.0, (sums.xy - sums.x * sums.y / n) / math.sqrt(spread_x * spread_y)))
