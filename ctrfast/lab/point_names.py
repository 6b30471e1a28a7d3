"""Names beside the points of a picture, each where it covers no other name, no mark and as few lines as possible.

    name_points(axes, ["2 x 16", "2 x 32"], [(50.0, 0.773), (60.0, 0.769)], taken=marks, bars=bars)

A name has a thin line to its point. Places are tried around the point, then further away; the cheapest one is taken.
Places are those of the figure's layout and size of now: call it once all else is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Text

from ctrfast.lab.theme import TEXT, figure_of

Points = Sequence[tuple[float, float]]
Floats = npt.NDArray[np.float64]  # boxes are left, bottom, right, top

_DISTANCES = (5.0, 11.0, 18.0, 26.0, 36.0, 48.0)  # between mark and name, in points of 1/72 inch
_ANGLES = np.deg2rad(np.arange(22.5, 382.5, 22.5))  # from the upper right; the last one is to the right
_MARK = 3.5  # half its width, in points
_PADDING = 1.0  # around a name, in points
_NAME_COST, _MARK_COST, _STROKE_COST = 10_000.0, 1_000.0, 15.0  # of covering one; a point of distance costs 1


def name_points(axes: Axes, names: Sequence[str], points: Points, *, taken: Points, bars: Sequence[Points]) -> None:
    """Write a name for each point.

    Args:
        axes: with their final limits and scales.
        names: as many as there are points.
        points: what they name, (x, y) in data coordinates.
        taken: all marks, which names keep off.
        bars: lines and error bars, each from its first to its last point, which names cover only where they must.
    """
    figure_of(axes).draw_without_rendering()
    pixels = figure_of(axes).dpi / 72
    marks = axes.transData.transform(taken)
    filled = np.column_stack([marks - _MARK * pixels, marks + _MARK * pixels])  # (R, 4)
    if (legend := axes.get_legend()) is not None:
        filled = np.vstack([filled, legend.get_window_extent().extents])
    strokes = [_along(axes.transData.transform(bar)) for bar in bars]
    places = _Places(np.array(axes.bbox.extents), filled, np.concatenate(strokes) if strokes else np.empty((0, 2)))
    for name, point in zip(names, points, strict=True):
        note = axes.annotate(
            name,
            point,
            (0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            color=TEXT,
            arrowprops={"arrowstyle": "-", "color": TEXT, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 3},
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )
        words = Text.get_window_extent(note)  # without the line to the point
        half = np.array([words.width, words.height]) / 2 + _PADDING * pixels
        x, y = places.take(axes.transData.transform(point), half, pixels) / pixels
        note.xyann = (float(x), float(y))


class _Places:
    """What is drawn on axes, in pixels: frame (4,), marks (R, 4), strokes (R, 2) and the names so far."""

    def __init__(self, frame: Floats, marks: Floats, strokes: Floats) -> None:
        self._frame, self._marks, self._strokes = frame, marks, strokes
        self._names = np.empty((0, 4))

    def take(self, point: Floats, half: Floats, pixels: float) -> Floats:
        """Where to put the middle of a name, from its point (2,) on; half (2,) of its size."""
        tried = []
        for distance in _DISTANCES:
            for angle in _ANGLES:
                shift = np.array([np.cos(angle), np.sin(angle)]) * (half + (distance + _MARK) * pixels)
                box = np.concatenate([point + shift - half, point + shift + half])
                tried.append((distance + self._cost(box), shift, box))
        _, shift, box = min(tried, key=lambda place: place[0])
        self._names = np.vstack([self._names, box])
        return shift

    def _cost(self, box: Floats) -> float:
        leaves = (box[:2] < self._frame[:2]).any() or (box[2:] > self._frame[2:]).any()
        names, marks = (_meets(box, others).sum() for others in (self._names, self._marks))
        strokes = ((box[:2] < self._strokes) & (self._strokes < box[2:])).all(axis=1).sum()
        return float(_NAME_COST * (names + leaves) + _MARK_COST * marks + _STROKE_COST * strokes)


def _meets(box: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Which of the others (R, 4) a box (4,) meets: (R,)."""
    meets: npt.NDArray[np.bool_] = np.all((box[:2] < others[:, 2:]) & (others[:, :2] < box[2:]), axis=1)
    return meets


def _along(ends: Floats) -> Floats:
    """Pixels (R, 2), four apart, along the straight pieces between points (P, 2)."""
    pieces = [ends]
    for start, stop in itertools.pairwise(ends):
        steps = int(np.hypot(*(stop - start)) / 4)
        pieces.append(start + (stop - start) * np.linspace(0, 1, steps + 1)[:, None])
    return np.concatenate(pieces)
