"""Names from the data as a picture can show them: short, and in characters that its font has.

The table beneath the picture has them whole. The font that comes with matplotlib knows no Chinese, for example.

    label("x" * 128)        # 23 letters and an ellipsis
"""

from __future__ import annotations

from functools import cache

from matplotlib.font_manager import findfont, get_font
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # comes with matplotlib
_LONGEST = 24


def label(name: str) -> str:
    """A name of at most 24 characters; those that the font lacks or that cannot be printed show as `?`."""
    font = _font()
    shown = "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "?" for c in name[:_LONGEST])
    return shown if len(name) <= _LONGEST else f"{shown[:-1]}…"


@cache
def _font() -> FT2Font:
    return get_font(findfont(FONT))
