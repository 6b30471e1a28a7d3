"""Colours of the report's pictures, for light and for dark ground, told apart with any kind of colour vision.

A picture is drawn in the colours for light ground; `for_dark_ground` replaces them, each by its counterpart. So no two
roles share a colour, though text, training split and sixth line are nearly the same grey.

Source: M. Okabe, K. Ito, Color Universal Design, 2008; darkened for light ground where they would be faint.
"""

from __future__ import annotations

import re

_TEXT = ("#333333", "#dddddd")
_FAINT = ("#c4c4c4", "#555555")
_SPLITS = {"train": ("#343434", "#ededed"), "valid": ("#0072b2", "#56b4e9"), "test": ("#d55e00", "#f0a03c")}
_LINES = (
    ("#0073b2", "#57b4e9"),
    ("#d55f00", "#f0a13c"),
    ("#007a5a", "#2fc79c"),
    ("#b0447f", "#e58fc0"),
    ("#8a6d00", "#f0e442"),
    ("#353535", "#eeeeee"),
)

TEXT = _TEXT[0]  # of axes and labels
FAINT = _FAINT[0]  # of grids, and of lines in the background
SPLIT_COLOURS = {split: light for split, (light, _) in _SPLITS.items()}
LINE_COLOURS = tuple(light for light, _ in _LINES)

_DARK = {light.encode(): dark.encode() for light, dark in (_TEXT, _FAINT, *_SPLITS.values(), *_LINES)}
_ANY = re.compile(b"|".join(_DARK))


def for_dark_ground(svg: bytes) -> bytes:
    """The same picture in the colours for dark ground."""
    return _ANY.sub(lambda found: _DARK[found[0]], svg)
