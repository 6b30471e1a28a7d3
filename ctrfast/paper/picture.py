"""AUC by batch size, a line per network, with the published one dashed."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ctrfast.data.report.labels import FONT
from ctrfast.data.report.theme import FAINT, LINE_COLOURS, TEXT
from ctrfast.paper.table import PaperTable

_MARKS = "osD^"
_K = 1024


def draw_auc(table: PaperTable) -> bytes:
    """The picture as SVG."""
    with rc_context({"font.family": FONT, "svg.hashsalt": "ctrfast", "svg.fonttype": "path"}):
        figure = Figure(figsize=(8.0, 4.4), layout="constrained")
        axes = figure.subplots()
        networks = list(dict.fromkeys(row.network for row in table.rows))
        for network, colour, mark in zip(networks, LINE_COLOURS, _MARKS, strict=False):
            rows = [row for row in table.rows if row.network == network]
            known = [(row.batch_size, row.auc) for row in rows if row.auc is not None]
            published = [(row.batch_size, row.published_auc) for row in rows if row.published_auc is not None]
            for points, dashes, face, label in (
                (known, "-", colour, network),
                (published, "--", "none", f"{network}, published"),
            ):
                if points:
                    x, y = zip(*points, strict=True)
                    axes.plot(x, y, dashes, color=colour, marker=mark, markerfacecolor=face, markersize=5, label=label)
        sizes = sorted({row.batch_size for row in table.rows})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size // _K} K" if size >= _K else str(size) for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("batch size (rows, logarithmic)", color=TEXT)
        axes.set_ylabel("test AUC (%)", color=TEXT)
        axes.set_title("Test AUC by batch size under CowClip", color=TEXT, fontsize=11)
        axes.grid(color=FAINT, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            figure.legend(loc="outside right upper", frameon=False, labelcolor=TEXT, fontsize=9, handlelength=3)
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
        return svg.getvalue()
