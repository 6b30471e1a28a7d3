"""AUC against what a score costs: wide networks as trained, pruned and packed, beside small ones trained longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.lab.compressed_frame import form_means
from ctrfast.lab.point_names import name_points
from ctrfast.lab.theme import TEXT, canvas, finish, log10_ticks, style_of

COSTS = {
    "row_latency_us": "latency of one row (us), log scale",
    "thousand_rows_ms": "latency of 1,000 rows (ms), log scale",
    "model_mib": "weights and graph (MiB), log scale",
}


def draw_front(forms: pd.DataFrame, cost: str = "row_latency_us", *, axes: Axes | None = None) -> Figure:
    """Test AUC of each form against its cost: means over seeds, and the front of the best.

    A line is a wide network in one precision, from whole to most pruned, or the small networks in one precision. Open
    marks are packed forms. Rings are on the front: no other form has a higher AUC at a lower cost.

    Args:
        forms: a frame of `ctrfast.lab.compressed`.
        cost: `row_latency_us`, `thousand_rows_ms`, or `model_mib`.
        axes: to draw on.

    Raises:
        DataError: no form has an AUC, or there are more lines than can be told apart.
    """
    axes = canvas(axes, (7.5, 5.0))
    figure = draw_forms(forms, cost, axes)
    name_forms(forms, cost, axes)
    return figure


def draw_forms(forms: pd.DataFrame, cost: str, axes: Axes) -> Figure:
    """The same without names. Where several share a figure, `name_forms` is for when its layout is final."""
    means = _means(forms, cost)
    lines = list(_lines(means))
    networks = list(dict.fromkeys(network for network, *_ in lines))
    for network, precision, label, points in lines:
        style = style_of(networks.index(network), len(networks))
        is_packed = precision != "float32"
        style |= {"markerfacecolor": "white"} if is_packed else {}
        spread = points["sd"].fillna(0.0) if points["sd"].notna().any() else None
        axes.errorbar(points[cost], points["auc"], yerr=spread, label=label, elinewidth=0.8, capsize=2, **style)
    front = means[means["on_front"]].sort_values(cost)
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 12, "markerfacecolor": "none"}
    axes.plot(front[cost], front["auc"], color=TEXT, label="on the front", **ring)
    axes.plot(front[cost], front["auc"], drawstyle="steps-post", color=TEXT, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    log10_ticks(axes.xaxis)
    title = f"Test AUC against {COSTS[cost].partition(' (')[0]}"
    return finish(axes, title=title, x=COSTS[cost], y="test AUC")


def name_forms(forms: pd.DataFrame, cost: str, axes: Axes) -> None:
    """Name the forms that are not packed: a small network by its widths, a pruned one by what it lost."""
    means = _means(forms, cost)
    names, named, bars = [], [], []
    for _, precision, _, points in _lines(means):
        bars.append(list(zip(points[cost], points["auc"], strict=True)))
        for point in points.to_dict("records"):
            x, y, sd = point[cost], point["auc"], 0.0 if pd.isna(point["sd"]) else point["sd"]
            bars.append([(x, y - sd), (x, y + sd)])
            if precision == "float32" and (point["kind"] == "small" or point["prune"] > 0):
                names.append(short_widths(point["hidden"]) if point["kind"] == "small" else f"-{point['prune']:.0%}")
                named.append((x, y))
    name_points(axes, names, named, taken=list(zip(means[cost], means["auc"], strict=True)), bars=bars)


def _means(forms: pd.DataFrame, cost: str) -> pd.DataFrame:
    return form_means(forms.assign(model_mib=forms["model_bytes"] / 2**20), cost)


def _lines(means: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Network, precision, label and points of each line; the small networks are one."""
    for precision in dict.fromkeys(means["precision"]):
        small = means[(means["kind"] == "small") & (means["precision"] == precision)]
        if len(small):
            yield "small", precision, f"small, {precision}", small.sort_values("weights")
    wide = means[means["kind"] == "wide"]
    for (settings, network, precision), points in wide.groupby(["settings", "network", "precision"], sort=False):
        label = f"wide: {short_widths(points['hidden'].iloc[0])}, {precision}"
        yield f"{network} {settings}", str(precision), label, points.sort_values("prune")


def short_widths(hidden: str) -> str:
    """`512x512x512` -> `3 x 512`; other widths as they are."""
    widths = hidden.split("x")
    return f"{len(widths)} x {widths[0]}" if len(widths) > 1 and len(set(widths)) == 1 else hidden
