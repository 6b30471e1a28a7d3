"""A sweep's runs as one table: a column per setting and figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ctrfast.dotted import flat_settings

_FIGURES = "metrics."


def runs_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A row per run. Members have a column each, nested ones by dotted name; those of `settings` begin with `setting.`.

    Columns are numbers or text; values of several kinds, and lists, are JSON. A figure that no run has is a column of
    float64 without values.
    """
    flat = [
        flat_settings({**row, "settings": None, **{f"setting.{k}": v for k, v in row["settings"].items()}})
        for row in rows
    ]
    names = [name for name in dict.fromkeys(name for row in flat for name in row) if name != "settings"]
    return pa.table({name: _column(name, [row.get(name) for row in flat]) for name in names})


def _column(name: str, values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if not kinds and name.startswith(_FIGURES):
        return pa.nulls(len(values), pa.float64())
    if kinds <= {int, float} and kinds:
        return pa.array([None if value is None else float(value) for value in values] if float in kinds else values)
    if kinds <= {str}:
        return pa.array(values, pa.string())
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
