"""What happens during runs: learning curves with epoch boundaries, clipped shares and embedding norms by field.

Lines go through the means over seeds; bands reach one sample standard deviation up and down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ctrfast.errors import DataError
from ctrfast.lab.figure_names import name_of
from ctrfast.lab.groups import differing, lines_of, need, over_seeds, with_figures
from ctrfast.lab.named_fields import named_fields, other_fields
from ctrfast.lab.theme import FAINT, TEXT, canvas, finish, style_of
from ctrfast.sweep.space import SEED

_MOST_BOUNDARIES = 40
_MARKS = 15  # of a line, however many records it has
_SHARE = "clipped_share"
_X = "epochs done; bands: one sd over the seeds"


def draw_learning_curves(
    curves: pd.DataFrame,
    figure: str = "auc",
    *,
    split: str = "valid",
    by: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """A figure over the epochs, whose boundaries are vertical lines.

    Args:
        curves: a frame of `ctrfast.lab.curves`.
        figure: of evaluations (`auc`, `log_loss`), or of the training records (`loss`, `clipped_share`).
        split: of the evaluations; figures of training records have none.
        by: settings that set lines apart; not set: all that differ.
        axes: to draw on.

    Raises:
        DataError: no record has the figure, or a line would mix settings.
    """
    need(curves, figure, "epoch", "split")
    recorded = curves[(curves["split"] == split) | (curves["kind"] == "train")]
    kept, axes = with_figures(recorded, figure, "epoch"), canvas(axes)
    lines = lines_of(kept, by=by)
    for line in lines:
        _draw_line(axes, over_seeds(line.frame, "epoch", figure), style_of(line.place, len(lines)), line.label)
    _epoch_boundaries(axes, kept)
    is_evaluated = bool(kept["split"].notna().any())
    name = name_of(f"{split}_{figure}" if is_evaluated else figure)
    unit = name_of(f"{split}_{figure}" if is_evaluated else figure, with_unit=True)
    return finish(axes, title=f"{name} over the epochs", x=_X, y=unit)


def draw_clipped_share(
    curves: pd.DataFrame, *, fields: Sequence[str] | None = None, axes: Axes | None = None
) -> Figure:
    """The share of the rows present in a batch whose gradient was clipped, by field, over the epochs.

    Args:
        curves: a frame of `ctrfast.lab.curves` of runs that differ in the seed alone.
        fields: to name; not set: the five with the highest mean. All others are thin grey lines.
        axes: to draw on.

    Raises:
        DataError: runs differ in more than the seed, or have no such records.
        ConfigError: a field is unknown.
    """
    return _draw_by_field(curves, _SHARE, fields, axes)


def draw_embedding_norm(
    curves: pd.DataFrame, *, fields: Sequence[str] | None = None, axes: Axes | None = None
) -> Figure:
    """The root mean square of the norms of a field's embedding rows over the epochs; else as `draw_clipped_share`."""
    return _draw_by_field(curves, "embedding_norm", fields, axes)


def _draw_by_field(curves: pd.DataFrame, figure: str, fields: Sequence[str] | None, axes: Axes | None) -> Figure:
    prefix = f"{figure}."
    columns = [name for name in map(str, curves.columns) if name.startswith(prefix)]
    need(curves, *(columns or [f"{prefix}*"]), "epoch")
    kept = with_figures(curves.dropna(subset=columns, how="all"), "epoch")
    for mixed in differing(kept, without=(SEED,)):
        raise DataError(
            f"The runs of this picture must differ in the seed alone. They also differ in {mixed}. Filter the frame.",
            path=mixed,
        )
    known = [name.removeprefix(prefix) for name in columns]
    highest = kept[columns].mean().sort_values(ascending=False, kind="stable").index
    named = named_fields(fields, known, [name.removeprefix(prefix) for name in highest])
    axes = canvas(axes)
    for field, label in other_fields(known, named):
        spread = over_seeds(kept, "epoch", f"{prefix}{field}")
        axes.plot(spread.index, spread["mean"], color=FAINT, linewidth=0.8, label=label)
    if figure in kept:
        spread = over_seeds(kept, "epoch", figure)
        axes.plot(spread.index, spread["mean"], color=TEXT, linewidth=2.2, label="all fields")
    for index, field in enumerate(named):
        _draw_line(axes, over_seeds(kept, "epoch", f"{prefix}{field}"), style_of(index, len(named)), field)
    _epoch_boundaries(axes, kept)
    if figure == _SHARE:
        _from_zero(axes, kept[columns].to_numpy(float).max())
    name = name_of(figure)
    return finish(axes, title=f"{name} by field over the epochs", x=_X, y=name_of(figure, with_unit=True))


def _from_zero(axes: Axes, greatest: float) -> None:
    """A share has no values below 0; where it is 0 throughout, the axis has all that it could be."""
    axes.set_ylim(0, None if greatest > 0 else 1)
    for line in axes.lines:
        line.set_clip_on(False)  # marks at 0 are whole


def _draw_line(axes: Axes, spread: pd.DataFrame, style: dict[str, Any], label: str) -> None:
    every = max(1, len(spread) // _MARKS)
    axes.plot(spread.index, spread["mean"], label=label, markevery=every, **style)
    if spread["sd"].notna().any():
        low, high = spread["mean"] - spread["sd"], spread["mean"] + spread["sd"]
        axes.fill_between(spread.index, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _epoch_boundaries(axes: Axes, frame: pd.DataFrame) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    last = math.floor(frame["epoch"].max())
    for epoch in range(1, last + 1) if last <= _MOST_BOUNDARIES else ():
        axes.axvline(epoch, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
