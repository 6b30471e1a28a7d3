"""Traffic: shares hold, the same value meets the same alias, models are independent; stored and checked."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.pointers import PointerStore
from service.problems import BadValueError, NotFoundError
from service.traffic import Traffic, TrafficTable, place_of
from service.wiring import Services
from tests.service.test_registry import publish

CALLERS = 20_000


def table(by: str | None = "user", name: str = "ctr", **shares: float) -> TrafficTable:
    return TrafficTable("default", name, Traffic.model_validate({"split": {"by": by, "shares": shares}}))


def aliases(of: TrafficTable, callers: range = range(CALLERS)) -> list[str]:
    return [of.alias_for({"user": f"u{caller}"}) for caller in callers]


def assert_share(found: int, share: float, of: int = CALLERS) -> None:
    """Within five standard deviations of a binomial's mean."""
    assert abs(found - of * share) <= 5 * math.sqrt(of * share * (1 - share))


def test_shares_hold() -> None:
    counts = Counter(aliases(table(latest=0.7, candidate=0.2, other=0.1)))
    for alias, share in (("latest", 0.7), ("candidate", 0.2), ("other", 0.1)):
        assert_share(counts[alias], share)


def test_places_are_even() -> None:
    cells = Counter(int(place_of(b"salt", str(caller)) * 20) for caller in range(CALLERS))
    expected = CALLERS / 20
    chi_square = sum((cells[cell] - expected) ** 2 / expected for cell in range(20))
    assert chi_square < 43.8  # 19 degrees of freedom, p = 0.001
    assert set(cells) == set(range(20))


def test_the_same_value_meets_the_same_alias() -> None:
    first = aliases(table(latest=0.5, b=0.5))
    assert first == aliases(table(b=0.5, latest=0.5))  # whatever the order in which they were given
    known = [table(latest=0.5, b=0.5).alias_for({"user": value}) for value in (5, 5.0, "5")]
    assert len(set(known)) == 1
    # Another version of Python or machine finds the same: these places are fixed.
    places = [round(place_of(b"default\0ctr\0", value), 6) for value in ("u1", "", "\ud800")]
    assert places == [0.013255, 0.425643, 0.234722]


def test_a_share_that_grows_moves_nobody_back() -> None:
    small, large = aliases(table(latest=0.9, b=0.1)), aliases(table(latest=0.7, b=0.3))
    assert all(after == "b" for before, after in zip(small, large, strict=True) if before == "b")
    assert_share(sum(before != after for before, after in zip(small, large, strict=True)), 0.2)


def test_models_are_independent() -> None:
    here, there = aliases(table(latest=0.5, b=0.5)), aliases(table(name="cvr", latest=0.5, b=0.5))
    assert_share(sum(a == b for a, b in zip(here, there, strict=True)), 0.5)


@pytest.mark.parametrize(
    ("by", "row"),
    [(None, {"user": "u"}), ("user", {}), ("user", {"user": None}), ("user", {"user": ""}), ("user", None)],
)
def test_without_a_value_chance_decides(by: str | None, row: dict[str, Any] | None) -> None:
    split = table(by, latest=0.75, b=0.25)
    counts = Counter(split.alias_for(row) for _ in range(CALLERS))
    assert_share(counts["b"], 0.25)


def test_a_share_of_nothing_gets_nobody() -> None:
    assert set(aliases(table(latest=0.0, b=1.0))) == {"b"}
    assert set(aliases(TrafficTable("default", "ctr", Traffic()))) == {"latest"}


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 100), min_size=1), st.floats(0, 1, exclude_max=True))
def test_every_place_has_an_alias(weights: dict[str, int], chance: float) -> None:
    total = sum(weights.values())
    traffic = Traffic.model_validate({"split": {"shares": {alias: part / total for alias, part in weights.items()}}})
    assert TrafficTable("p", "m", traffic, lambda: chance).alias_for(None) in weights


def test_the_shadow_gets_its_share() -> None:
    traffic = Traffic.model_validate({"shadow": {"alias": "next", "share": 0.05}})
    shadowed = TrafficTable("default", "ctr", traffic)
    assert_share(sum(shadowed.shadows() for _ in range(CALLERS)), 0.05)
    assert not TrafficTable("default", "ctr", Traffic()).shadows()


@pytest.mark.parametrize(
    "given",
    [
        {"split": {"shares": {"latest": 0.9}}},
        {"split": {"shares": {}}},
        {"split": {"shares": {"latest": 1.5, "b": -0.5}}},
        {"split": {"shares": {"latest": float("nan")}}},
        {"split": {"shares": {"a/b": 1.0}}},
        {"shadow": {"alias": "next", "share": 0.0}},
        {"shadow": {"alias": "next"}},
        {"spilt": {}},
    ],
)
def test_settings_that_are_no_traffic(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Traffic.model_validate(given)


def test_traffic_is_stored_and_noticed(services: Services) -> None:
    publish(services, "m", "a")
    services.registry.set_alias("m", "next", 1)
    assert services.traffic.get("m") == Traffic()
    before = PointerStore(services.database).changes()
    traffic = Traffic.model_validate(
        {"split": {"shares": {"latest": 0.5, "next": 0.5}}, "shadow": {"alias": "next", "share": 0.1}}
    )
    services.traffic.put("m", traffic)
    assert services.traffic.get("m") == traffic
    store = PointerStore(services.database)
    assert store.changes() == before + 1
    assert {key: Traffic.model_validate(stored) for key, stored in store.read().traffic.items()} == {
        ("default", "m"): traffic
    }
    services.traffic.put("m", Traffic())
    assert store.read().traffic == {}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"split": {"shares": {"latest": 0.5, "none": 0.5}}}, "split.shares.none"),
        ({"shadow": {"alias": "none", "share": 0.5}}, "shadow.alias"),
    ],
)
def test_aliases_must_exist(services: Services, given: dict[str, Any], path: str) -> None:
    publish(services, "m", "a")
    with pytest.raises(BadValueError, match=r"has no alias 'none'\. It has: latest") as error:
        services.traffic.put("m", Traffic.model_validate(given))
    assert error.value.path == path
    assert services.traffic.get("m") == Traffic()
    for call in (lambda: services.traffic.get("x"), lambda: services.traffic.put("x", Traffic())):
        with pytest.raises(NotFoundError):
            call()
