"""The latest of each figure in a run's records: what its progress shows, and what its receipt ends with.

latest = LatestFigures()
latest.take({"kind": "evaluation", "split": "valid", "step": 686, "auc": 0.79})
latest.metrics      # {"valid_auc": 0.79}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LatestFigures:
    """metrics: `loss`, `valid_auc` ...; by_field: what is counted for each id field, as `clipped_share.C1`."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.by_field: dict[str, float] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """Put a record's figures in the place of earlier ones; those of a split carry its name."""
        prefix = f"{record['split']}_" if "split" in record else ""
        for name, value in record.items():
            if isinstance(value, float) and name != "train_s":
                self.metrics[f"{prefix}{name}"] = value
            elif isinstance(value, Mapping):
                name = name.removesuffix("_by_field")
                self.by_field |= {f"{name}.{field}": figure for field, figure in value.items()}
