"""Metric records with fewer points, for a chart: the first, last, least and greatest of each stretch stay.

For each metric its n values in order are cut into floor(points / 4) stretches of equal number; of each stretch the
first, the last, the least and the greatest value are kept (of equal ones the earliest). A line drawn at that width
looks the same as with all values. What is no number (None) can be first or last alone.

Source: Jugel et al. 2014, "M4: A Visualization-Oriented Time Series Data Aggregation", PVLDB 7(10).
Differs from the source: stretches hold equally many values, not equal times, as steps may repeat after a retry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

PLACE = ("epoch", "step")
FEWEST_POINTS = 4


def thin(
    records: Sequence[Mapping[str, Any]], names: Collection[str] | None, points: int | None
) -> list[dict[str, Any]]:
    """Records with the metrics that are asked for, and at most so many values of each.

    Args:
        records: each with its place (`epoch`, `step`) and what was measured there.
        names: of metrics; None takes all.
        points: at least `FEWEST_POINTS`; None keeps all values.
    """
    if names is None and points is None:
        return [dict(record) for record in records]
    places: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        for name in record:
            if name not in PLACE and (names is None or name in names):
                places.setdefault(name, []).append(index)
    kept: dict[int, list[str]] = {}
    for name, indices in places.items():
        chosen = range(len(indices)) if points is None else kept_places([records[i][name] for i in indices], points)
        for place in chosen:
            kept.setdefault(indices[place], []).append(name)
    return [
        {**{key: record[key] for key in PLACE if key in record}, **{name: record[name] for name in kept[index]}}
        for index, record in enumerate(records)
        if index in kept
    ]


def kept_places(values: Sequence[float | None], points: int) -> list[int]:
    """Where the values stand that are kept, in order; all of them where there are no more than `points`."""
    if len(values) <= points:
        return list(range(len(values)))
    stretches = points // 4
    kept: set[int] = set()
    for number in range(stretches):
        start, end = (len(values) * edge // stretches for edge in (number, number + 1))
        kept |= {start, end - 1}
        numbers = [(value, place) for place in range(start, end) if (value := values[place]) is not None]
        if numbers:
            kept |= {min(numbers)[1], max(numbers, key=lambda pair: (pair[0], -pair[1]))[1]}
    return sorted(kept)
