"""The two plots of the benchmarks: bars with a mark per round, and lines against the batch size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes

COLOURS = colormaps["tab10"].colors
Draw = Callable[[Axes], None]


@dataclass(frozen=True)
class Line:
    """values: by batch size, those of all rounds; the line goes through their medians."""

    name: str
    values: Mapping[int, Sequence[float]]
    dashed: bool = False
    bold: bool = False


def bars(labels: Sequence[str], groups: Mapping[str, Sequence[Sequence[float]]], unit: str) -> Draw:
    """Per label one bar for each group, as long as the median; marks show the single rounds.

    Args:
        labels: from top to bottom.
        groups: by name, for each label the values of all rounds.
        unit: of the values.
    """
    height = 0.8 / len(groups)

    def draw(axes: Axes) -> None:
        for number, (name, rounds) in enumerate(groups.items()):
            places = [index + (number - (len(groups) - 1) / 2) * height for index in range(len(labels))]
            medians = [statistics.median(values) for values in rounds]
            axes.barh(places, medians, height * 0.9, color=COLOURS[number], label=name)
            for place, values in zip(places, rounds, strict=True):
                axes.plot(values, [place] * len(values), "k|", markersize=9)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.set(xlabel=f"{unit} (marks: single rounds)", xlim=(0, None))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if len(groups) > 1:
            axes.figure.legend(loc="outside right upper")

    return draw


def against_batch_size(lines: Sequence[Line], unit: str) -> Draw:
    """Medians over a logarithmic axis of batch sizes; thin bars reach from the lowest to the highest round."""

    def draw(axes: Axes) -> None:
        for line, colour in zip(lines, COLOURS, strict=False):
            medians = {size: statistics.median(values) for size, values in line.values.items()}
            below = [medians[size] - min(values) for size, values in line.values.items()]
            above = [max(values) - medians[size] for size, values in line.values.items()]
            axes.errorbar(
                list(medians),
                list(medians.values()),
                yerr=(below, above),
                linestyle="--" if line.dashed else "-",
                linewidth=2.8 if line.bold else 1.3,
                elinewidth=0.8,
                marker="o",
                markersize=4,
                color=colour,
                label=line.name,
            )
        sizes = sorted({size for line in lines for size in line.values})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set(xlabel="batch size (bars: lowest and highest round)", ylabel=unit, ylim=(0, None))
        axes.yaxis.set_major_formatter("{x:,.10g}")
        axes.grid(alpha=0.3)
        if len(lines) > 1:
            axes.figure.legend(loc="outside right upper", fontsize=8)

    return draw
