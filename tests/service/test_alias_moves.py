"""Moves of an alias are kept, compared and set, and counted for those who must notice: on SQLite and PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from service.pointers import PointerStore
from service.problems import AliasMovedError, NotFoundError
from service.wiring import Services
from tests.service.test_registry import publish


def moves(services: Services, alias: str = "latest") -> list[tuple[int | None, int]]:
    return [(move.from_version, move.to_version) for move in services.registry.history("m", alias, 50)]


def test_the_history_says_who_moved_it(services: Services) -> None:
    for text in "ab":
        publish(services, "m", text)
    services.registry.set_alias("m", "latest", 1, caller="key1")
    services.registry.set_alias("m", "latest", 1, caller="key2")  # it is there already: no move
    assert moves(services) == [(2, 1), (1, 2), (None, 1)]
    newest, published, _ = services.registry.history("m", "latest", 50)
    assert (newest.caller, newest.job_id, published.caller) == ("key1", None, "")
    assert published.job_id == services.registry.get_version("m", 2).job_id
    assert len(services.registry.history("m", "latest", 1)) == 1
    for name, alias in (("m", "none"), ("x", "latest")):
        with pytest.raises(NotFoundError):
            services.registry.history(name, alias, 1)


def test_compare_and_set(services: Services) -> None:
    for text in "abc":
        publish(services, "m", text)
    seen = services.registry.history("m", "latest", 1)[0].id
    moved = services.registry.set_alias("m", "latest", 1, expected={seen})
    assert moved != seen
    with pytest.raises(AliasMovedError, match="points at version 1 now"):
        services.registry.set_alias("m", "latest", 2, expected={seen})
    with pytest.raises(AliasMovedError, match="does not exist"):
        services.registry.set_alias("m", "new", 2, expected={seen, moved})
    services.registry.set_alias("m", "latest", 3, expected={moved})
    assert services.registry.get("m").aliases == {"latest": 3}


def test_of_two_that_saw_the_same_one_wins(services: Services) -> None:
    for text in "abc":
        publish(services, "m", text)
    seen = services.registry.history("m", "latest", 1)[0].id
    ends: list[str] = []
    barrier = threading.Barrier(2)

    def move(version: int) -> None:
        barrier.wait()
        try:
            services.registry.set_alias("m", "latest", version, expected={seen})
            ends.append("moved")
        except AliasMovedError:
            ends.append("refused")

    threads = [threading.Thread(target=move, args=(version,)) for version in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["moved", "refused"]


def test_each_change_is_counted(services: Services) -> None:
    store = PointerStore(services.database)
    counts = [store.changes()]
    publish(services, "m", "a")
    counts.append(store.changes())
    publish(services, "m", "b")
    counts.append(store.changes())
    services.registry.set_alias("m", "stable", 1)
    counts.append(store.changes())
    services.registry.set_alias("m", "stable", 1)  # nothing moved
    counts.append(store.changes())
    assert counts == [0, 1, 2, 3, 3]
