"""A line through means over the seeds, with whiskers, and a point per run; and dashed lines to hold it against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from ctrfast.lab.groups import Line, over_seeds
from ctrfast.lab.theme import TEXT

WHISKERS = "whiskers: one sd over the seeds"


def draw_line(axes: Axes, line: Line, x: str, y: str, style: dict[str, Any], label: str) -> None:
    """Two columns of a line's runs; those without a value of y are left out."""
    spread = over_seeds(line.frame, x, y).dropna(subset=["mean"])
    axes.errorbar(spread.index, spread["mean"], yerr=spread["sd"], label=label, elinewidth=1, capsize=3, **style)
    axes.plot(line.frame[x], line.frame[y], ".", color=style["color"], markersize=5, alpha=0.6)


def draw_reference(axes: Axes, label: str, points: Mapping[int, float] | Mapping[float, float]) -> None:
    """Figures from elsewhere, x -> y, as a dashed line without marks."""
    axes.plot(list(points), list(points.values()), color=TEXT, linestyle=(0, (6, 3)), linewidth=1.2, label=label)
