"""How often ids occur: a few values make up most rows, and most values are rare (Zipf's law).

counts = id_counts(Dataset.open(Path("data/criteo")))
draw_id_frequency(counts)
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctrfast.data.shards import Dataset
from ctrfast.lab.groups import with_figures
from ctrfast.lab.named_fields import named_fields, other_fields
from ctrfast.lab.theme import FAINT, canvas, finish, style_of


def id_counts(dataset: Dataset) -> pd.DataFrame:
    """Occurrences of each value of the vocabulary in the training split.

    Returns:
        A row per value with `field` (its table), `rank` (1 for the most frequent) and `count`. Values that were too
        rare for the vocabulary, missing ones, and fields of hash buckets are not among them.
    """
    parts = []
    for name in dataset.fitted.tables:
        file = dataset.path / "vocabulary" / f"{name}.parquet"
        counts = pq.read_table(file, columns=["count"])["count"].to_numpy() if file.is_file() else []
        ordered = pd.Series(counts, dtype="int64").sort_values(ascending=False, ignore_index=True)
        parts.append(pd.DataFrame({"field": name, "rank": ordered.index + 1, "count": ordered}))
    return pd.concat(parts, ignore_index=True)


def draw_id_frequency(counts: pd.DataFrame, *, fields: Sequence[str] | None = None, axes: Axes | None = None) -> Figure:
    """Occurrences against rank, both logarithmic, a line per field.

    Args:
        counts: a frame of `id_counts`.
        fields: to name; not set: the five with the most values. All others are thin grey lines.
        axes: to draw on.

    Raises:
        DataError: there are no values.
        ConfigError: a field is unknown.
    """
    kept = with_figures(counts, "field", "rank", "count")
    largest = list(map(str, kept["field"].value_counts().index))
    named = named_fields(fields, largest, largest)
    axes = canvas(axes)
    for field, label in other_fields(largest, named):
        part = kept[kept["field"] == field]
        axes.plot(part["rank"], part["count"], color=FAINT, linewidth=0.8, label=label)
    for index, field in enumerate(named):
        part = kept[kept["field"] == field]
        marks = _log_places(len(part))
        label = f"{field}: {len(part):,} values"
        axes.plot(part["rank"], part["count"], label=label, markevery=marks, **style_of(index, len(named)))
    axes.set(xscale="log", yscale="log")
    x, y = "rank of the value within its field, log scale", "occurrences in the training split (rows), log scale"
    return finish(axes, title="Id frequency by rank", x=x, y=y)


def _log_places(size: int) -> list[int]:
    """Places of marks that look evenly spread on a logarithmic axis."""
    return sorted({min(size - 1, round(size ** (part / 8)) - 1) for part in range(9)})
