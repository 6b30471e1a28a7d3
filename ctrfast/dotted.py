"""Settings by dotted name: `{"optimizer": {"l2": 1e-5}}` is `{"optimizer.l2": 1e-5}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrfast.errors import ConfigError


def assign(values: dict[str, Any], name: str, value: Any) -> None:
    """Set one of nested settings by its dotted name.

    Raises:
        ConfigError: a part of the name before the last holds a value. `path` is the name.
    """
    *parents, last = name.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"`{parent}` holds a value, not settings. Got {name!r}.", path=name)
    values[last] = value


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        here = f"{prefix}{name}"
        flat |= flat_settings(value, f"{here}.") if isinstance(value, Mapping) else {here: value}
    return flat
