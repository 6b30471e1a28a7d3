"""Which metrics a caller asks for: names with a comma between; one that ends in `*` stands for all that begin so.

names = MetricNames.parse("loss,clipped_share.*")
"clipped_share.C1" in names      # True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class MetricNames:
    """Whole names, and what others begin with."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the value of `names`. A `*` elsewhere than at a name's end is itself."""
        asked = text.split(",")
        beginnings = tuple(name[:-1] for name in asked if name.endswith("*"))
        return cls(frozenset(name for name in asked if not name.endswith("*")), beginnings)

    def __contains__(self, name: object) -> bool:
        """Whether a metric is asked for."""
        return name in self.whole or (isinstance(name, str) and name.startswith(self.beginnings))
