"""The report's pictures; the same report gives the same bytes.

Names from the data are never read as formulas, and characters that the font lacks show as `?`.

    for picture in draw_pictures(report):
        picture.light, picture.dark         # SVG
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullLocator, PercentFormatter

from ctrfast.data.report.contents import DataReport, FieldReport, IdFieldReport, RateSlice
from ctrfast.data.report.drift import LARGE, SOME
from ctrfast.data.report.labels import label
from ctrfast.data.report.svg import Draw, Picture, draw_picture
from ctrfast.data.report.theme import FAINT, LINE_COLOURS, SPLIT_COLOURS, TEXT
from ctrfast.schema import SPLITS

MOST_FIELDS = 20  # in one picture; the tables have all
_LEGEND_CHARACTERS = 66  # in one line
_WIDTH = 6.0  # inches; small, so that text stays readable where a phone shrinks the picture
_LEAST_PSI = 1e-4
_ROWS_PER_POINT = 500  # of a label rate; at 20 % its standard error is then 1.8 %
_LATER = ("valid", "test")
_MARKS = {"train": "o", "valid": "o", "test": "s"}
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


def draw_pictures(report: DataReport) -> dict[str, Picture]:
    """All pictures that the report has figures for, by name."""
    pictures = [
        _picture("slices", "Line chart: label rate over the order of rows, a line per split.", 3.0, _slices(report)),
        _picture("frequencies", "Line chart: how often values occur by rank, both logarithmic.", 3.8, _zipf(report)),
        _picture("largest", "Bar chart: embedding table size of the ten largest fields.", *_largest(report)),
    ]
    if report.timeline:
        pictures.append(
            _picture("timeline", "Line chart of the label rate over time, above bars of rows.", 3.8, _timeline(report))
        )
    if any(report.rows[split] for split in _LATER):
        pictures.append(_picture("drift", "Dot chart: drift (PSI) by field and split.", *_psi(report)))
        if any(map(_most_unseen, report.id_fields)):
            pictures.append(_picture("unseen", "Bar chart: unseen values by field and split.", *_unseen(report)))
    return {picture.name: picture for picture in pictures}


def joined(slices: Sequence[RateSlice]) -> list[RateSlice]:
    """Join neighbouring slices of a small split, whose label rates would be noise; five stay at least."""
    rows = sum(part.rows for part in slices)
    shown = max(min(rows // _ROWS_PER_POINT, len(slices)), 5)
    each = -(-len(slices) // shown)
    groups = [slices[start : start + each] for start in range(0, len(slices), each)]
    return [
        RateSlice(
            first_row=group[0].first_row,
            rows=sum(part.rows for part in group),
            positives=sum(part.positives for part in group),
        )
        for group in groups
    ]


def _picture(name: str, alt: str, height: float, draw: Draw) -> Picture:
    return draw_picture(name, alt, draw, (_WIDTH, height))


def _legend(figure: Figure, names: Sequence[str], handles: Sequence[Line2D]) -> None:
    """Above the axes. Texts are put in later: a legend drops names that begin with `_` and reads `$` as formulas."""
    columns = max(1, min(6, _LEGEND_CHARACTERS // (max(map(len, names)) + 6)))
    legend = figure.legend(
        handles, [str(index) for index in range(len(names))], loc="outside upper center", ncols=columns, frameon=False
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
        text.set_color(TEXT)


def _slices(report: DataReport) -> Draw:
    splits = [split for split in SPLITS if report.rows[split]]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        handles = []
        for split, dashes in zip(splits, _DASHES, strict=False):
            slices = joined(report.label_slices[split])
            places = [(part.first_row + part.rows / 2) / report.rows[split] for part in slices]
            rates = [_rate(part) for part in slices]
            colour = SPLIT_COLOURS[split]
            handles += axes.plot(places, rates, color=colour, linestyle=dashes, marker=_MARKS[split], markersize=3)
        axes.set(xlabel="share of the split's rows, in order", ylabel="label rate", xlim=(0, 1), ylim=(0, None))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(color=FAINT, linewidth=0.5)
        _legend(figure, splits, handles)

    return draw


def _timeline(report: DataReport) -> Draw:
    points = report.timeline

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
        places = range(len(points))
        rates = [point.positives / point.rows if point.rows else float("nan") for point in points]
        above.plot(places, rates, color=LINE_COLOURS[0], marker="o", markersize=3)
        above.set(ylabel="label rate", ylim=(0, None))
        above.yaxis.set_major_formatter(PercentFormatter(1))
        below.bar(places, [point.rows for point in points], color=LINE_COLOURS[0])
        below.set(ylabel="rows")
        below.yaxis.set_major_formatter("{x:,.0f}")
        shown = range(0, len(points), max(1, -(-len(points) // 4)))
        names = ["\n".join(map(label, points[place].start.split("T", 1))) for place in shown]  # day above hour
        below.set_xticks(list(shown), names, parse_math=False)
        for axes in (above, below):
            axes.grid(color=FAINT, linewidth=0.5)

    return draw


def _zipf(report: DataReport) -> Draw:
    """The six largest fields in colour, the others as faint lines behind them."""
    named = [field.name for field in report.largest_fields][: len(LINE_COLOURS)]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        handles, names = [], []
        for field in report.id_fields:
            if field.frequencies and field.name not in named:
                axes.plot(*zip(*field.frequencies, strict=True), color=FAINT, linewidth=0.8)
        by_name = {field.name: field for field in report.id_fields}
        for name, colour, dashes in zip(named, LINE_COLOURS, _DASHES, strict=False):
            if by_name[name].frequencies:
                points = zip(*by_name[name].frequencies, strict=True)
                handles += axes.plot(*points, color=colour, linestyle=dashes, linewidth=1.8)
                names.append(label(name))
        axes.set(xscale="log", yscale="log", xlabel="rank of the value", ylabel="occurrences in train")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(EngFormatter(sep=""))  # 10k: long numbers would touch
            axis.set_minor_locator(NullLocator())
        axes.grid(color=FAINT, linewidth=0.5)
        if names:
            _legend(figure, names, handles)

    return draw


def _largest(report: DataReport) -> tuple[float, Draw]:
    fields = report.largest_fields

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        bars = axes.barh(range(len(fields)), [field.bytes / 2**20 for field in fields], color=LINE_COLOURS[0])
        axes.bar_label(bars, [f" {field.share:.1%}" for field in fields], color=TEXT, fontsize=10)
        axes.margins(x=0.15)
        axes.set(xlabel=f"MiB of float32 weights at D = {report.embedding_dim}")
        _name_rows(axes, [field.name for field in fields])
        axes.grid(axis="x", color=FAINT, linewidth=0.5)

    return _height(len(fields)), draw


def _unseen(report: DataReport) -> tuple[float, Draw]:
    splits = [split for split in _LATER if report.rows[split]]
    fields = sorted(filter(_most_unseen, report.id_fields), key=_most_unseen, reverse=True)[:MOST_FIELDS]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        thickness = 0.8 / len(splits)
        handles: list[Line2D] = []
        for index, split in enumerate(splits):
            places = [row + (index - (len(splits) - 1) / 2) * thickness for row in range(len(fields))]
            colour = SPLIT_COLOURS[split]
            axes.barh(places, [field.unseen_share[split] for field in fields], thickness * 0.9, color=colour)
            handles.append(Line2D([], [], color=colour, linewidth=6))
        expected = [field.unseen_expected for field in fields]
        handles += axes.plot(expected, range(len(fields)), "|", color=TEXT, markersize=11, markeredgewidth=2)
        axes.set(xlabel="share of rows with an unseen value", xlim=(0, None))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        _name_rows(axes, [field.name for field in fields])
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        _legend(figure, [*splits, "expected"], handles)

    return _height(len(fields)), draw


def _most_unseen(field: IdFieldReport) -> float:
    return max(field.unseen_share[split] for split in _LATER)


def _psi(report: DataReport) -> tuple[float, Draw]:
    splits = [split for split in _LATER if report.rows[split]]
    both: tuple[FieldReport, ...] = (*report.numeric_fields, *report.id_fields)
    fields = sorted(both, key=lambda field: -max(field.psi.values()))[:MOST_FIELDS]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        handles: list[Line2D] = []
        for split in splits:
            values = [max(field.psi[split], _LEAST_PSI) for field in fields]
            style = {"color": SPLIT_COLOURS[split], "marker": _MARKS[split], "markersize": 6, "linestyle": "none"}
            handles += axes.plot(values, range(len(fields)), **style)  # type: ignore[arg-type]
        chance = [max(field.psi_chance[splits[-1]], _LEAST_PSI) for field in fields]
        handles += axes.plot(chance, range(len(fields)), "|", color=TEXT, markersize=11, markeredgewidth=1.5)
        for edge in (SOME, LARGE):
            axes.axvline(edge, color=TEXT, linewidth=0.9, linestyle="--")
        axes.set(xscale="log", xlabel=f"PSI against train (dashed: {SOME} and {LARGE})")
        highest = max(max(field.psi.values()) for field in fields)
        axes.set_xlim(_LEAST_PSI * 0.8, max(1.0, 2 * highest))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        _name_rows(axes, [field.name for field in fields])
        axes.grid(color=FAINT, linewidth=0.5)
        _legend(figure, [*splits, f"highest by chance ({splits[-1]})"], handles)

    return _height(len(fields)), draw


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [label(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top


def _height(rows: int) -> float:
    return 1.1 + 0.27 * rows


def _rate(part: RateSlice) -> float:
    return part.positives / part.rows
