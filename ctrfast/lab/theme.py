"""How the pictures look: a line is told by its marker and dashes as well as by its colour; grids, titles, legends.

Colours are those of the data report, which any kind of colour vision tells apart.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ctrfast.data.report.theme import FAINT, LINE_COLOURS, TEXT
from ctrfast.errors import DataError

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 3)))
MOST_LINES = len(_MARKERS)  # more could not be told apart

__all__ = ["FAINT", "MOST_LINES", "TEXT", "canvas", "figure_of", "finish", "log2_axis", "log10_ticks", "style_of"]


def canvas(axes: Axes | None, size: tuple[float, float] = (7.0, 4.3)) -> Axes:
    """The axes to draw on: those given, or those of a new figure of so many inches."""
    return axes if axes is not None else Figure(figsize=size, layout="constrained").add_subplot()


def figure_of(axes: Axes) -> Figure:
    """The figure that axes are in."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise DataError("`axes` must be part of a figure. Give axes of one, or none.", path="axes")
    return figure


def style_of(index: int, count: int) -> dict[str, Any]:
    """Marker, dashes and colour of a line.

    Raises:
        DataError: there are more lines than can be told apart.
    """
    if count > MOST_LINES:
        raise DataError(
            f"A picture can have at most {MOST_LINES} lines. Got {count}. Filter the frame, for example to one model.",
            path="by",
        )
    again = index // len(LINE_COLOURS)  # a colour that comes again has other dashes
    return {
        "color": LINE_COLOURS[index % len(LINE_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _DASHES[(index + again) % len(_DASHES)],
        "markersize": 5,
        "linewidth": 1.4,
    }


def log2_axis(axes: Axes, values: list[float]) -> None:
    """Let x be logarithmic, with a tick at each of the values."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [f"{value:,.0f}" if value >= 1 else f"{value:g}" for value in values])
    axes.minorticks_off()


def log10_ticks(axis: Axis) -> None:
    """Have 1, 2 and 5 of each power of 10 written out on a logarithmic axis."""
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")


def finish(axes: Axes, *, title: str, x: str, y: str, legend_title: str | None = None) -> Figure:
    """Title, axis labels with their units, grid and legend; returns the figure."""
    axes.set_title(f"{title[0].upper()}{title[1:]}", fontsize=11, color=TEXT)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        legend = axes.legend(  # handles long enough to show the dashes
            frameon=False, labelcolor=TEXT, fontsize=8.5, handlelength=3.2, title=legend_title, title_fontsize=8.5
        )
        for words in legend.get_texts():
            words.set_parse_math(False)
    return figure_of(axes)
