"""Means far beyond all others: left out of the y axis, and named at its edge with their value.

One rule that diverged would else flatten all other lines. A mean is far where it lies further from the median than 8
times the distance of the quartiles. The line still goes there, out of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ctrfast.lab.groups import Line, over_seeds
from ctrfast.lab.theme import TEXT

_REACH = 8.0  # quartile distances
_MARGIN = 0.06  # of the height, above and below
_LINE_PT = 10.0


def name_far_values(axes: Axes, lines: Sequence[Line], x: str, y: str, shown: Sequence[float] = ()) -> None:
    """Bound the y axis of drawn lines, where a mean of column y is far.

    Args:
        axes: with the lines on it.
        lines: as they were drawn.
        x: column of the x axis.
        y: column of the y axis.
        shown: other values that must stay in the picture.
    """
    spreads = {line.label: over_seeds(line.frame, x, y).dropna(subset=["mean"]) for line in lines}
    every = pd.concat(list(spreads.values()))
    low, high = _bounds(every["mean"].to_numpy(float))
    near = every[every["mean"].between(low, high)]
    if len(near) == len(every):
        return
    above = _told(spreads, lambda mean: mean > high)
    below = _told(spreads, lambda mean: mean < low)
    spread = near["sd"].fillna(0.0)
    bottom = min([(near["mean"] - spread).min(), *shown])
    top = max([(near["mean"] + spread).max(), *shown])
    margin = _MARGIN * (top - bottom)
    axes.set_ylim(bottom - margin * (1 + bool(below)), top + margin * (1 + bool(above)))
    middle = float(np.sqrt(float(every.index.min()) * float(every.index.max())))
    _name_at_edge(axes, above, middle, is_high=True)
    _name_at_edge(axes, below, middle, is_high=False)


def _told(spreads: Mapping[str, pd.DataFrame], is_far: Callable[[float], bool]) -> list[tuple[float, str]]:
    """Place and words of each far mean."""
    return [
        (float(place), f"{label}: {mean:.3g}")
        for label, spread in spreads.items()
        for place, mean in zip(spread.index.to_numpy(float), spread["mean"], strict=True)
        if is_far(mean)
    ]


def _bounds(means: np.ndarray) -> tuple[float, float]:
    """Least and greatest mean that is not far; quartiles that agree tell nothing."""
    finite = means[np.isfinite(means)]
    if not len(finite):
        return -np.inf, np.inf
    first, median, third = np.percentile(finite, (25, 50, 75))
    reach = _REACH * (third - first)
    return (median - reach, median + reach) if reach > 0 else (-np.inf, np.inf)


def _name_at_edge(axes: Axes, told: Sequence[tuple[float, str]], middle: float, *, is_high: bool) -> None:
    """Words with an arrow at the upper or lower edge; those of one place below, or above, each other."""
    used: dict[float, int] = {}
    for place, words in told:
        level = used[place] = used.get(place, -1) + 1
        offset = _LINE_PT * level + 3
        axes.annotate(
            f"{words} {'↑' if is_high else '↓'}",
            (place, 1.0 if is_high else 0.0),
            (0, -offset if is_high else offset),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if place < middle else "right",
            va="top" if is_high else "bottom",
            fontsize=8,
            color=TEXT,
            parse_math=False,
        )
