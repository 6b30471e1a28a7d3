"""Colours of the report's pictures, for light and for dark ground, told apart with any kind of colour vision.

Source: M. Okabe, K. Ito, Color Universal Design, 2008; on dark ground the lighter half of their set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctrfast.schema import SPLITS


@dataclass(frozen=True)
class Theme:
    """text: of axes and labels. faint: of grids and lines in the background. splits: by name. lines: for up to six."""

    text: str
    faint: str
    splits: Mapping[str, str]
    lines: tuple[str, ...]


LIGHT = Theme(
    text="#333333",
    faint="#c4c4c4",
    splits=dict(zip(SPLITS, ("#333333", "#0072b2", "#d55e00"), strict=True)),
    lines=("#0072b2", "#d55e00", "#007a5a", "#b0447f", "#8a6d00", "#333333"),
)
DARK = Theme(
    text="#dddddd",
    faint="#555555",
    splits=dict(zip(SPLITS, ("#eeeeee", "#56b4e9", "#f0a03c"), strict=True)),
    lines=("#56b4e9", "#f0a03c", "#2fc79c", "#e58fc0", "#f0e442", "#eeeeee"),
)
