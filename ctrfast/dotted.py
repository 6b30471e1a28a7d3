"""Settings by dotted name: `{"optimizer": {"l2": 1e-5}}` is `{"optimizer.l2": 1e-5}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        here = f"{prefix}{name}"
        flat |= flat_settings(value, f"{here}.") if isinstance(value, Mapping) else {here: value}
    return flat
