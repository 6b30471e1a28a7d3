"""A figure, or a difference of two, with the interval that holds it in 95 of 100 samples of rows or seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """value, and the 95 % interval around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """value: later less earlier, with its 95 % interval. p: of a difference as large where there is none, two-sided."""

    value: float
    low: float
    high: float
    p: float


def normal_estimate(value: float, variance: float) -> Estimate:
    """An estimate with normal error."""
    reach = NORMAL_95 * math.sqrt(variance)
    return Estimate(value, value - reach, value + reach)


def normal_difference(value: float, variance: float) -> Difference:
    """A difference with normal error. One without any error is certain: p is 0, or 1 where nothing differs."""
    around = normal_estimate(value, variance)
    if variance <= 0:
        return Difference(value, value, value, 1.0 if value == 0 else 0.0)
    return Difference(around.value, around.low, around.high, math.erfc(abs(value) / math.sqrt(2 * variance)))
