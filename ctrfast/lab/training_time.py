"""What a batch size buys: time per epoch, time until an AUC is reached, and AUC against time.

Times are those of the training on one machine, with evaluations and compilation: compare runs of the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.errors import DataError
from ctrfast.lab.figure_names import name_of
from ctrfast.lab.groups import lines_of, over_seeds, with_figures
from ctrfast.lab.point_names import name_points
from ctrfast.lab.seed_lines import WHISKERS, draw_line, draw_reference
from ctrfast.lab.theme import TEXT, canvas, finish, log2_axis, log10_ticks, style_of

_ROOM = 0.1  # of the height, for labels above and below the points
_X = f"batch size (rows), log scale; {WHISKERS}"


def draw_epoch_time(
    runs: pd.DataFrame,
    *,
    by: Sequence[str] | None = None,
    references: Mapping[str, Mapping[int, float]] = MappingProxyType({}),
    axes: Axes | None = None,
) -> Figure:
    """Seconds per epoch against the batch size.

    Args:
        runs: a frame of `ctrfast.lab.runs`; runs whose time per epoch is not known are left out.
        by: settings that set lines apart; not set: all that differ.
        references: dashed lines to hold them against, by label: batch size -> seconds.
        axes: to draw on.

    Raises:
        DataError: no run has an `epoch_s`, or a line would mix settings.
    """
    kept, axes = with_figures(runs, "epoch_s", "batch_size"), canvas(axes)
    lines = lines_of(kept, x=("batch_size",), by=by)
    for line in lines:
        draw_line(axes, line, "batch_size", "epoch_s", style_of(line.place, len(lines)), line.label)
    for label, points in references.items():
        draw_reference(axes, label, points)
    _batch_sizes(axes, set(kept["batch_size"]).union(*references.values()))
    return finish(
        axes, title="Time per epoch against batch size", x=_X, y="time per epoch, with evaluations (s), log scale"
    )


def draw_time_to_auc(
    curves: pd.DataFrame, auc: float, *, by: Sequence[str] | None = None, axes: Axes | None = None
) -> Figure:
    """Seconds until the validation AUC was first seen at a target, against the batch size.

    It is seen at evaluations alone: at each epoch's end, and each `evaluate_every_steps`. The legend says how many of a
    line's runs got there; the others have no point.

    Args:
        curves: a frame of `ctrfast.lab.curves`.
        auc: the target, in (0.5, 1).
        by: settings that set lines apart; not set: all that differ.
        axes: to draw on.

    Raises:
        DataError: the target is out of range, no run was evaluated, or none reached it.
    """
    if not 0.5 < auc < 1:
        raise DataError(f"`auc` must be in (0.5, 1). Got auc={auc}. Take one that the base run reaches.", path="auc")
    seen = _validations(curves)
    reached = time_to_auc(seen, auc)
    if reached["train_s"].isna().all():
        best = seen["auc"].max()
        raise DataError(f"At least one run must reach the AUC {auc}. The best is {best:.4f}. Lower it.", path="auc")
    axes = canvas(axes)
    lines = lines_of(reached, x=("batch_size",), by=by)
    for line in lines:
        label = f"{line.label}: {line.frame['train_s'].count()} of {len(line.frame)} runs"
        draw_line(axes, line, "batch_size", "train_s", style_of(line.place, len(lines)), label)
    _batch_sizes(axes, set(reached["batch_size"]))
    title = f"Time to a validation AUC of {auc:g} against batch size"
    return finish(axes, title=title, x=_X, y="training time (s), log scale", legend_title="runs that got there")


def time_to_auc(curves: pd.DataFrame, auc: float) -> pd.DataFrame:
    """The first evaluation of each run with at least this validation AUC; `train_s` is missing where there is none."""
    seen = _validations(curves).sort_values("step")
    last = seen.groupby("folder", sort=False).tail(1).set_index("folder")
    first = seen[seen["auc"] >= auc].groupby("folder", sort=False).head(1).set_index("folder")
    return last.assign(train_s=first["train_s"], step=first["step"]).reset_index()


def draw_pareto(
    runs: pd.DataFrame,
    figure: str = "test_auc",
    time: str = "seconds",
    *,
    by: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """A final figure against training time: means over seeds, labelled by batch size, and the front of the best.

    Nothing on the front is beaten in both: no other mean has a higher figure in less time.

    Args:
        runs: a frame of `ctrfast.lab.runs`.
        figure: a column of which more is better.
        time: a column of seconds.
        by: settings that set lines apart; not set: all that differ.
        axes: to draw on.

    Raises:
        DataError: no run has both, or a line would mix settings.
    """
    kept, axes = with_figures(runs, figure, time, "batch_size"), canvas(axes, (7.5, 5.0))
    lines = lines_of(kept, x=("batch_size",), by=by)
    means, sizes, bars = [], [], []
    for line in lines:
        x, y = (over_seeds(line.frame, "batch_size", name) for name in (time, figure))
        style = style_of(line.place, len(lines)) | {"linestyle": "none"}
        axes.errorbar(
            x["mean"], y["mean"], xerr=x["sd"], yerr=y["sd"], label=line.label, elinewidth=0.8, capsize=2, **style
        )
        means += list(zip(x["mean"], y["mean"], strict=True))
        sizes += [f"{size:,}" for size in x.index]
        for seconds, mean, wide, high in zip(x["mean"], y["mean"], x["sd"].fillna(0), y["sd"].fillna(0), strict=True):
            bars += [[(seconds - wide, mean), (seconds + wide, mean)], [(seconds, mean - high), (seconds, mean + high)]]
    front = pareto_front(np.array(means))
    axes.plot(front[:, 0], front[:, 1], drawstyle="steps-post", color=TEXT, linewidth=1, linestyle=":", label="front")
    axes.set_xscale("log")
    axes.margins(y=_ROOM)
    log10_ticks(axes.xaxis)
    title = f"{name_of(figure)} against training time"
    x_name = f"{name_of(time, with_unit=True)}, log scale; numbers: batch size; {WHISKERS}"
    drawn = finish(axes, title=title, x=x_name, y=name_of(figure, with_unit=True))
    name_points(axes, sizes, means, taken=means, bars=bars)
    return drawn


def pareto_front(points: np.ndarray) -> np.ndarray:
    """Points (R, 2) of cost and gain -> those that no other beats in both, by rising cost."""
    order = np.lexsort((-points[:, 1], points[:, 0]))
    rising = points[order]
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(rising[:, 1])[:-1]])
    return rising[rising[:, 1] > best_before]


def _validations(curves: pd.DataFrame) -> pd.DataFrame:
    with_figures(curves, "split", "auc", "train_s", "folder")
    return with_figures(curves[curves["split"] == "valid"], "auc", "train_s")


def _batch_sizes(axes: Axes, sizes: Set[int]) -> None:
    log2_axis(axes, sorted(sizes))
    axes.set_yscale("log")
    log10_ticks(axes.yaxis)
