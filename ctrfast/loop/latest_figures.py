"""The latest of each figure in a run's records: what its progress shows, and what its receipt ends with.

latest = LatestFigures()
latest.take({"kind": "evaluation", "split": "valid", "step": 686, "auc": 0.79})
latest.metrics      # {"valid_auc": 0.79}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LatestFigures:
    """metrics: `loss`, `valid_auc` ...; by_field: what is counted for each id field or expert: `clipped_share.C1`."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.by_field: dict[str, float] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """Put a record's figures in the place of earlier ones."""
        metrics, by_field = figures_of(record)
        self.metrics |= metrics
        self.by_field |= by_field


def figures_of(record: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """A record's metrics, those of a split with its name before them, and what it counts for each id field."""
    prefix = f"{record['split']}_" if "split" in record else ""
    metrics: dict[str, float] = {}
    by_field: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, float) and name != "train_s":
            metrics[f"{prefix}{name}"] = value
        elif isinstance(value, Mapping):
            counted = name.removesuffix("_by_field")
            by_field |= {f"{counted}.{field}": figure for field, figure in value.items()}
    return metrics, by_field
