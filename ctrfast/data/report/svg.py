"""A picture of a page as SVG on transparent ground, for light and for dark pages, and its HTML.

Drawn by matplotlib without its global figures; the same drawing gives the same bytes.

    shown = draw_picture("slices", "Line chart: ...", draw, (6.0, 3.0))       # draw(figure) puts axes in
    figure_tag(shown, "Label rate of equal slices.")                           # '<figure id="slices">...'
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.data.report.labels import FONT
from ctrfast.data.report.tags import text
from ctrfast.data.report.theme import TEXT, for_dark_ground

_SETTINGS: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 11.5,
    "svg.hashsalt": "ctrfast",
    "svg.fonttype": "path",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_ONE_AT_A_TIME = threading.Lock()  # matplotlib's settings are the process's

Draw = Callable[[Figure], None]


@dataclass(frozen=True)
class Picture:
    """name: stable. alt: what it shows, for those who do not see it. light, dark: SVG."""

    name: str
    alt: str
    light: bytes
    dark: bytes


def draw_picture(name: str, alt: str, draw: Draw, size: tuple[float, float]) -> Picture:
    """Have a picture drawn. size: width and height in inches."""
    light = _svg(draw, size)
    return Picture(name, alt, light=light, dark=for_dark_ground(light))


def figure_tag(picture: Picture, caption: str, below: str = "") -> str:
    """A picture as HTML. caption: words. below: HTML beneath it."""
    light, dark = (base64.b64encode(svg).decode() for svg in (picture.light, picture.dark))
    kind = "data:image/svg+xml;base64,"
    return (
        f'<figure id="{picture.name}"><picture><source media="(prefers-color-scheme: dark)" srcset="{kind}{dark}">'
        f'<img src="{kind}{light}" alt="{text(picture.alt)}"></picture>'
        f"<figcaption>{text(caption)}</figcaption>{below}</figure>"
    )


def _svg(draw: Draw, size: tuple[float, float]) -> bytes:
    with _ONE_AT_A_TIME, rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        for axes in figure.axes:
            _colour(axes)
        out = io.BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    return out.getvalue()


def _colour(axes: Axes) -> None:
    axes.tick_params(which="both", colors=TEXT)
    for spine in axes.spines.values():
        spine.set_color(TEXT)
    for words in (axes.xaxis.label, axes.yaxis.label, axes.title):
        words.set_color(TEXT)
