"""Metric records with fewer points, for a chart: the first, last, least and greatest of each stretch stay.

For each metric its n values in order are cut into floor(points / 4) stretches of equal number; of each stretch the
first, the last, the least and the greatest value are kept (of equal ones the earliest). A line drawn at that width
looks the same as with all values. What is no number (None) can be first or last alone.

A series may come in parts that were thinned out before, each as one stretch: `summarise`. Then stretches consist of
whole parts, and are equally long up to the length of one.

Source: Jugel et al. 2014, "M4: A Visualization-Oriented Time Series Data Aggregation", PVLDB 7(10).
Differs from the source: stretches hold equally many values, not equal times, as steps may repeat after a retry.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

PLACE = ("epoch", "step")
FEWEST_POINTS = 4


@dataclass(frozen=True)
class Part:
    """Records that follow each other: all values of each metric, or those of one stretch that are kept.

    left_out: by metric, how many values the records lack; a metric that lacks none has no entry.
    """

    records: Sequence[Mapping[str, Any]]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """By metric, which records hold a value of it."""
        found: dict[str, list[int]] = {}
        for index, record in enumerate(self.records):
            for name in record:
                if name not in PLACE:
                    found.setdefault(name, []).append(index)
        return found

    def of(self, is_asked_for: Callable[[str], bool]) -> Part:
        """The same of some metrics alone, without records that hold none of them."""
        names = {name for name in set[str]().union(*self.records) if name not in PLACE and is_asked_for(name)}
        keys = names.union(PLACE)
        records = [
            {key: value for key, value in record.items() if key in keys}
            for record in self.records
            if not names.isdisjoint(record)
        ]
        return Part(records, {name: count for name, count in self.left_out.items() if name in names})

    def count(self, name: str) -> int:
        """Values of a metric, with those that were left out."""
        return len(self.places.get(name, ())) + self.left_out.get(name, 0)


@dataclass
class _Line:
    """One metric over all parts. indices: of records. ranks: how many values came before each, at least."""

    indices: list[int] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    total: int = 0


def thin(
    records: Sequence[Mapping[str, Any]], names: Container[str] | None, points: int | None
) -> list[dict[str, Any]]:
    """Records with the metrics that are asked for, and at most so many values of each.

    Args:
        records: each with its place (`epoch`, `step`) and what was measured there.
        names: of metrics; None takes all.
        points: at least `FEWEST_POINTS`; None keeps all values.
    """
    return thin_parts([Part(records)], names, points)


def thin_parts(parts: Sequence[Part], names: Container[str] | None, points: int | None) -> list[dict[str, Any]]:
    """The same of a series in parts, each fine enough (`is_too_coarse`)."""
    records = [record for part in parts for record in part.records]
    if names is None and points is None:
        return [dict(record) for record in records]
    kept: dict[int, list[str]] = {}
    for name, line in _lines(parts, names).items():
        values = [records[index][name] for index in line.indices]
        chosen = range(len(values)) if points is None else kept_places(values, points, line.ranks, line.total)
        for place in chosen:
            kept.setdefault(line.indices[place], []).append(name)
    return [
        {**{key: record[key] for key in PLACE if key in record}, **{name: record[name] for name in kept[index]}}
        for index, record in enumerate(records)
        if index in kept
    ]


def summarise(parts: Sequence[Part]) -> Part:
    """Parts that follow each other as one, thinned out as one stretch."""
    summary = Part(thin_parts(parts, None, FEWEST_POINTS))
    left_out = {
        name: missing
        for name, places in summary.places.items()
        if (missing := sum(part.count(name) for part in parts) - len(places))
    }
    return Part(summary.records, left_out)


def totals(parts: Sequence[Part]) -> dict[str, int]:
    """By metric, how many values there are in all parts."""
    names = {name for part in parts for name in part.places}
    return {name: sum(part.count(name) for part in parts) for name in names}


def is_too_coarse(part: Part, names: Container[str] | None, points: int, total: Mapping[str, int]) -> bool:
    """Whether a part lacks values that a series of so many points needs: it is longer than one of its stretches."""
    return any(
        total[name] <= points or part.count(name) * (points // 4) > total[name]
        for name in part.left_out
        if names is None or name in names
    )


def kept_places(
    values: Sequence[float | None], points: int, ranks: Sequence[int] | None = None, total: int | None = None
) -> list[int]:
    """Where the values stand that are kept, in order; all of them where there are no more than `points`.

    Args:
        values: all, or of a series in parts those that are left.
        points: at least `FEWEST_POINTS`.
        ranks: ascending, which of `total` values each is; None: they are all.
        total: how many there were.
    """
    if ranks is None or total is None:
        ranks, total = range(len(values)), len(values)
    if total <= points:
        return list(range(len(values)))
    stretches = points // 4
    edges = [bisect_left(ranks, total * number // stretches) for number in range(stretches + 1)]
    kept: set[int] = set()
    for start, end in itertools.pairwise(edges):
        if start == end:
            continue
        kept |= {start, end - 1}
        numbers = [(value, place) for place in range(start, end) if (value := values[place]) is not None]
        if numbers:
            kept |= {min(numbers)[1], max(numbers, key=lambda pair: (pair[0], -pair[1]))[1]}
    return sorted(kept)


def _lines(parts: Sequence[Part], names: Container[str] | None) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    before = 0
    for part in parts:
        for name, places in part.places.items():
            if names is not None and name not in names:
                continue
            line = lines.setdefault(name, _Line())
            count = part.count(name)
            line.indices += [before + place for place in places]
            line.ranks += range(line.total, line.total + count) if count == len(places) else [line.total] * len(places)
            line.total += count
        before += len(part.records)
    return lines
