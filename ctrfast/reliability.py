"""The reliability diagram: click rates predicted and seen in bins of rows, before and after calibration.

Bars are 95 % Wilson intervals of the rate seen; on the diagonal both rates agree. Below, the spread of predictions.

    draw_reliability(run / "report" / "reliability.png", predictions, calibration, "test")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ctrfast.calibration import Calibration, scores_of
from ctrfast.data.report.theme import FAINT, LINE_COLOURS, TEXT
from ctrfast.folders import new_file
from ctrfast.metrics import Predictions, expected_calibration_error
from ctrfast.reliability_bins import Reliability

_AFTER, _BEFORE = LINE_COLOURS[:2]


def draw_reliability(out: Path, predictions: Predictions, calibration: Calibration, split: str) -> None:
    """Write the diagram as a picture.

    Args:
        out: PNG file; replaced where it exists.
        predictions: labels and the network's logits, of at least one row.
        calibration: what `after` shows; the identity has no `after`.
        split: that the rows are of, for the title.
    """
    figure = Figure(figsize=(6.0, 6.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    draw_on(above, below, predictions, calibration, split)
    out.parent.mkdir(exist_ok=True)
    with new_file(out) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})


def draw_on(above: Axes, below: Axes, predictions: Predictions, calibration: Calibration, split: str) -> None:
    """The diagram above, and how the predictions are spread below, on axes that share x."""
    labels, logits = predictions.arrays()
    before = scores_of(logits)
    series = {"before": before}
    if calibration.method != "identity":
        series[f"after ({calibration.method})"] = calibration.apply(before)
    lowest, highest = (float(edge(list(map(edge, series.values())))) for edge in (np.min, np.max))
    edges = np.linspace(lowest, max(highest, lowest + 1e-6), 61).tolist()
    for (name, probabilities), colour, mark in zip(series.items(), (_BEFORE, _AFTER), "so", strict=False):
        bins = Reliability.of(labels, probabilities)
        error = expected_calibration_error(labels, probabilities)
        reach = [np.maximum(bins.seen - bins.low, 0), np.maximum(bins.high - bins.seen, 0)]
        style: dict[str, Any] = {
            "color": colour,
            "marker": mark,
            "markersize": 4,
            "linewidth": 1,
            "elinewidth": 1,
            "capsize": 2,
        }
        above.errorbar(bins.predicted, bins.seen, yerr=reach, label=f"{name}, ECE {error:.4f}", **style)
        below.hist(probabilities, bins=edges, histtype="step", color=colour, linewidth=1.2)
    _finish(above, below)
    above.set_title(f"{split} split, {len(labels):,} rows", fontsize=11, color=TEXT)


def _finish(above: Axes, below: Axes) -> None:
    above.axline((0, 0), slope=1, color=TEXT, linewidth=0.9, linestyle="--")
    above.set(ylabel="click rate seen", ylim=(0, None), xlim=(0, None))
    above.legend(loc="upper left", frameon=False, labelcolor=TEXT)
    below.set(xlabel="click rate predicted", ylabel="rows")
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.xaxis.set_major_formatter(PercentFormatter(1))
    above.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (above, below):
        axes.grid(color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
