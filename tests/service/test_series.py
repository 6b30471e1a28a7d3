"""Thinned series against a plain oracle, and by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

from service.series import FEWEST_POINTS, Part, kept_places, summarise, thin


def oracle(values: list[float | None], points: int) -> list[int]:
    """The same by one look at each value."""
    if len(values) <= points:
        return [*range(len(values))]
    stretches: dict[int, list[int]] = {}
    for place in range(len(values)):
        number = next(s for s in range(points // 4) if place < len(values) * (s + 1) // (points // 4))
        stretches.setdefault(number, []).append(place)
    kept = set()
    for places in stretches.values():
        kept.add(places[0])
        kept.add(places[-1])
        with_values = [place for place in places if values[place] is not None]
        for best in (min, max):
            if with_values:
                extreme = best(values[place] for place in with_values)  # type: ignore[type-var]
                kept.add(next(place for place in with_values if values[place] == extreme))
    return sorted(kept)


@pytest.mark.parametrize("seed", range(200))
def test_kept_places_against_the_oracle(seed: int) -> None:
    draw = random.Random(seed)
    values = [draw.choice([None, draw.randrange(5), draw.random()]) for _ in range(draw.randrange(1, 200))]
    points = draw.randrange(FEWEST_POINTS, 60)
    kept = kept_places(values, points)
    assert kept == oracle(values, points)
    assert len(kept) <= points
    assert {0, len(values) - 1} <= set(kept)
    numbers = [value for value in values if value is not None]
    if numbers:
        shown = [values[place] for place in kept if values[place] is not None]
        assert (min(numbers), max(numbers)) == (min(shown), max(shown))  # type: ignore[type-var]


def test_by_hand() -> None:
    values = [5.0, 9.0, 1.0, 9.0, 4.0, 7.0, 7.0, 7.0, 2.0, 3.0]
    assert kept_places(values, 4) == [0, 1, 2, 9]
    assert kept_places(values, 8) == [0, 1, 2, 4, 5, 8, 9]
    assert kept_places(values, 10) == [*range(10)]


def test_each_metric_is_thinned_by_itself() -> None:
    records: list[dict[str, Any]] = [{"epoch": 0, "step": step, "loss": 100.0 - step} for step in range(100)]
    records[50]["valid_auc"] = 0.7
    records[99]["valid_auc"] = 0.8
    thinned = thin(records, None, 4)
    assert thinned == [
        {"epoch": 0, "step": 0, "loss": 100.0},
        {"epoch": 0, "step": 50, "valid_auc": 0.7},
        {"epoch": 0, "step": 99, "loss": 1.0, "valid_auc": 0.8},
    ]
    assert thin(records, {"valid_auc"}, None) == [
        {"epoch": 0, "step": 50, "valid_auc": 0.7},
        {"epoch": 0, "step": 99, "valid_auc": 0.8},
    ]
    assert thin(records, {"none"}, 8) == []
    assert thin(records, None, None) == records


def test_a_part_of_some_metrics_is_what_they_alone_would_make() -> None:
    draw = random.Random(7)
    names = ("loss", "auc", "auc.b", "speed")
    records = [
        {"epoch": 0, "step": step, **{name: draw.random() for name in names if draw.random() < 0.3}}
        for step in range(200)
    ]
    alone = [
        {key: value for key, value in record.items() if key in {"epoch", "step", "loss", "auc.b"}}
        for record in records
        if {"loss", "auc.b"} & record.keys()
    ]
    cut = summarise([Part(records)]).of({"loss", "auc.b"}.__contains__)
    made = summarise([Part(alone)])
    assert list(cut.records) == list(made.records)
    assert cut.left_out == made.left_out
    assert cut.left_out.keys() == {"loss", "auc.b"}
    assert Part(records).of(lambda _: False) == Part([])
