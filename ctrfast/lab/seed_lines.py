"""A line through means over the seeds, with whiskers, and a point per run."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from ctrfast.lab.groups import Line, over_seeds

WHISKERS = "whiskers: one sd over the seeds"


def draw_line(axes: Axes, line: Line, x: str, y: str, style: dict[str, Any], label: str) -> None:
    """Two columns of a line's runs; those without a value of y are left out."""
    spread = over_seeds(line.frame, x, y).dropna(subset=["mean"])
    axes.errorbar(spread.index, spread["mean"], yerr=spread["sd"], label=label, elinewidth=1, capsize=3, **style)
    axes.plot(line.frame[x], line.frame[y], ".", color=style["color"], markersize=5, alpha=0.6)
