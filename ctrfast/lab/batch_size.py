"""AUC, log loss or another final figure against the batch size, a line per scaling rule.

Points are single runs, lines go through the means over seeds, whiskers reach one sample standard deviation up and down.
A mean that lies far beyond all others does not flatten them: it is named at the picture's edge (`far_values`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.errors import DataError, unknown_name
from ctrfast.lab.far_values import name_far_values
from ctrfast.lab.figure_names import name_of
from ctrfast.lab.groups import RULE, Line, lines_of, need, with_figures
from ctrfast.lab.published import PUBLISHED_AUC, published_change
from ctrfast.lab.seed_lines import WHISKERS, draw_line, draw_reference
from ctrfast.lab.theme import TEXT, canvas, finish, log2_axis, style_of


def draw_by_batch_size(
    runs: pd.DataFrame,
    figure: str = "test_auc",
    *,
    by: Sequence[str] | None = None,
    references: Mapping[str, Mapping[int, float]] = MappingProxyType({}),
    axes: Axes | None = None,
) -> Figure:
    """A final figure against the batch size.

    Args:
        runs: a frame of `ctrfast.lab.runs`; runs without the figure are left out.
        figure: a column, for example `test_log_loss` or `epoch_s`.
        by: settings that set lines apart; not set: all that differ.
        references: dashed lines to hold them against, by label: batch size -> figure.
        axes: to draw on.

    Raises:
        DataError: no run has the figure, or a line would mix settings.
    """
    kept, axes = with_figures(runs, figure, "batch_size"), canvas(axes)
    _draw_lines(axes, kept, "batch_size", figure, by, references)
    log2_axis(axes, sorted(set(kept["batch_size"]).union(*references.values())))
    title = f"{name_of(figure)} against batch size"
    return finish(axes, title=title, x=f"batch size (rows), log scale; {WHISKERS}", y=name_of(figure, with_unit=True))


def draw_change_by_scale(
    runs: pd.DataFrame,
    figure: str = "test_auc",
    *,
    base_rule: str | None = None,
    published: str | None = None,
    by: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """The change of a final figure from the base batch size, against s = batch size / base batch size.

    What is subtracted is a mean over the seeds of the runs at s = 1, so the spread at s = 1 shows how well it is known.

    Args:
        runs: a frame of `ctrfast.lab.runs`.
        figure: a column.
        base_rule: subtract this rule's base runs from all lines; not set: from each line its own.
        published: `criteo` or `avazu` adds the published AUC of DeepFM with CowClip as a dashed line.
        by: settings that set lines apart; not set: all that differ.
        axes: to draw on.

    Raises:
        DataError: no run has the figure, a line would mix settings, or there is nothing to subtract.
        ConfigError: nothing is published under that name.
    """
    if published is not None and published not in PUBLISHED_AUC:
        raise unknown_name("published table", published, PUBLISHED_AUC, path="published")
    if published is not None and not figure.endswith("auc"):
        raise DataError(f"`published` holds AUC alone. Got figure={figure}. Leave it out.", path="published")
    kept, axes = with_figures(runs, figure, "plan.scale"), canvas(axes)
    lines = lines_of(kept, x=("batch_size",), by=by)
    changed = pd.concat([_minus_base(line, kept, figure, base_rule) for line in lines])
    change = published_change(published) if published is not None else {}
    told = {f"published: DeepFM, CowClip, all of {published.capitalize()}": change} if published is not None else {}
    _draw_lines(axes, changed, "plan.scale", figure, by, told)
    scales = set(kept["plan.scale"]).union(change)
    axes.axhline(0, color=TEXT, linewidth=0.7)
    log2_axis(axes, sorted(scales))
    base = f"the base runs of the rule {base_rule}" if base_rule else "each line's own base runs"
    return finish(
        axes,
        title=f"Change of {name_of(figure)} from {base}",
        x=f"batch size / base batch size, log scale; {WHISKERS}",
        y=f"difference in {name_of(figure, with_unit=True)}",
    )


def draw_auc_by_batch_size(
    runs: pd.DataFrame,
    figure: str = "test_auc",
    *,
    base_rule: str | None = None,
    published: str | None = None,
    by: Sequence[str] | None = None,
) -> Figure:
    """`draw_by_batch_size` beside `draw_change_by_scale`; arguments and errors are theirs."""
    with_figures(runs, figure, "batch_size", "plan.scale")
    picture = Figure(figsize=(13.0, 4.8), layout="constrained")
    left, right = picture.subplots(1, 2)
    draw_by_batch_size(runs, figure, by=by, axes=left)
    draw_change_by_scale(runs, figure, base_rule=base_rule, published=published, by=by, axes=right)
    return picture


def _draw_lines(
    axes: Axes,
    frame: pd.DataFrame,
    x: str,
    figure: str,
    by: Sequence[str] | None,
    references: Mapping[str, Mapping[int, float] | Mapping[float, float]],
) -> None:
    lines = lines_of(frame, x=("batch_size",), by=by)
    for line in lines:
        draw_line(axes, line, x, figure, style_of(line.place, len(lines)), line.label)
    for label, points in references.items():
        draw_reference(axes, label, points)
    shown = [value for points in references.values() for value in points.values()]
    name_far_values(axes, lines, x, figure, shown)


def _minus_base(line: Line, runs: pd.DataFrame, figure: str, base_rule: str | None) -> pd.DataFrame:
    base, whose = line.frame, line.label
    if base_rule is not None:
        need(runs, RULE)
        base, whose = _same_network(runs[runs[RULE] == base_rule], line.frame), f"the rule {base_rule}"
    base = base[base["plan.scale"] == 1]
    if base.empty:
        problem = f"There must be runs of {whose} at the base batch size. Got none with `{figure}`."
        raise DataError(f"{problem} Train some, or leave the others out.", path="plan.scale")
    return line.frame.assign(**{figure: line.frame[figure] - base[figure].mean()})


def _same_network(runs: pd.DataFrame, line: pd.DataFrame) -> pd.DataFrame:
    """The runs of a line's network on a line's dataset."""
    names = [name for name in map(str, runs.columns) if name.startswith("model.") or name == "dataset"]
    return runs.merge(line[names].drop_duplicates(), on=names)
