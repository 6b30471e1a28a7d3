"""A shadow's scores are compared with those that were answered; a request never waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from ctrfast.errors import DataError
from service.problems import ModelUnavailableError
from service.served import Served
from service.shadow import ShadowScorer
from service.shadow_store import ShadowStore
from service.shadow_sums import EDGES, Sums, compared, figures_of
from service.shelf import Shelf
from service.traffic import Traffic, TrafficTable
from service.wiring import Services
from tests.service.test_registry import publish

RNG = np.random.default_rng(5)
PAIR = ("default", "m", 1, 2)


def some_scores(rows: int) -> tuple[np.ndarray, np.ndarray]:
    scores = RNG.uniform(0.01, 0.9, rows).astype(np.float32)
    return scores, np.clip(scores + RNG.normal(0, 0.02, rows), 0, 1).astype(np.float32)


def test_sums_of_parts_are_those_of_the_whole() -> None:
    scores, shadow = some_scores(1000)
    total = Sums()
    for start in range(0, 1000, 100):
        total.add(Sums.from_json(compared(scores[start : start + 100], shadow[start : start + 100]).to_json()))
    figures = figures_of(total)
    distance = np.abs(shadow.astype(float) - scores.astype(float))
    assert (figures.rows, figures.requests) == (1000, 10)
    assert figures.mean == pytest.approx(scores.astype(float).mean())
    assert figures.shadow_mean == pytest.approx(shadow.astype(float).mean())
    assert figures.correlation == pytest.approx(np.corrcoef(scores.astype(float), shadow.astype(float))[0, 1])
    assert figures.mean_absolute_difference == pytest.approx(distance.mean())
    assert figures.largest_difference == pytest.approx(distance.max())
    expected, _ = np.histogram(distance, [0, *EDGES, 1])
    assert [part.rows for part in figures.histogram] == expected.tolist()
    assert (figures.histogram[0].low, figures.histogram[-1].high) == (0, 1)


def test_figures_of_nothing_and_of_scores_that_do_not_vary() -> None:
    empty = figures_of(Sums())
    assert (empty.mean, empty.correlation, empty.mean_absolute_difference) == (None, None, None)
    same = np.full(50, 0.3, np.float32)
    assert figures_of(compared(same, same)).correlation is None
    assert figures_of(compared(same[:0], same[:0])).rows == 0


def test_processes_add_up(services: Services) -> None:
    publish(services, "m", "a")
    stores = [ShadowStore(services.database) for _ in range(3)]

    def add(store: ShadowStore) -> None:
        for _ in range(5):
            store.add({PAIR: Sums(rows=2, requests=1, x=0.5), ("default", "m", 1, 3): Sums(dropped=1)})

    threads = [threading.Thread(target=add, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {row.shadow_version: Sums.from_json(row.sums) for row in stores[0].read("m")}
    assert (found[2].rows, found[2].requests, found[2].x, found[3].dropped) == (30, 15, 7.5, 15)


class FakeScorer:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        self.asked.set()
        self.may_go.wait(120)
        if self.error is not None:
            raise self.error
        return np.array([row["score"] + 0.25 for row in rows], np.float32)


class FakeShelf:
    """A shelf on which version 2 is the shadow of version 1."""

    def __init__(self, share: float = 1.0) -> None:
        self.scorer = FakeScorer()
        self.error: Exception | None = None
        self.table = TrafficTable(
            "default", "m", Traffic.model_validate({"shadow": {"alias": "next", "share": share}}), lambda: 0.5
        )

    def traffic(self, project: str, name: str) -> TrafficTable | None:
        return self.table if name == "m" else None

    def version_behind(self, project: str, name: str, alias: str) -> int | None:
        return 2

    async def by_alias(self, project: str, name: str, alias: str) -> Served:
        if self.error is not None:
            raise self.error
        return Served(project, name, 2, cast(Any, self.scorer), cast(Any, None))


def served(name: str = "m") -> Served:
    return Served("default", name, 1, cast(Any, None), cast(Any, None))


@pytest.fixture
def sqlite(services: Services) -> Services:
    publish(services, "m", "a")
    return services


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


def rows_of(*scores: float) -> tuple[Callable[[Any], np.ndarray], np.ndarray]:
    rows = [{"score": score} for score in scores]
    return lambda scorer: scorer.score_rows(rows), np.array(scores, np.float32)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.005)


def stored(services: Services) -> Sums:
    (row,) = services.shadow_store.read("m")
    return Sums.from_json(row.sums)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_is_compared_logged_counted_and_stored(sqlite: Services, caplog: pytest.LogCaptureFixture) -> None:
    metrics = CollectorRegistry()
    caplog.set_level(logging.INFO, "service.shadow")

    async def body() -> None:
        shadow = ShadowScorer(cast(Shelf, FakeShelf()), sqlite.shadow_store, metrics, flush_s=0.01)
        task = asyncio.create_task(shadow.run())
        assert shadow.due("default", "m")
        assert not shadow.due("default", "other")
        shadow.take(served(), *rows_of(0.1, 0.3))
        await until(lambda: metrics.get_sample_value("ctrfast_shadow_rows_total", {"model": "m"}))
        await until(lambda: sqlite.shadow_store.read("m"))
        shadow.take(served(), *rows_of(0.5))
        await until(lambda: metrics.get_sample_value("ctrfast_shadow_rows_total", {"model": "m"}) == 3)
        task.cancel()  # what is not written yet is written then
        await asyncio.gather(task, return_exceptions=True)

    run(body)
    sums = stored(sqlite)
    assert (sums.rows, sums.requests, sums.failed, sums.dropped) == (3, 2, 0, 0)
    assert sums.absolute == pytest.approx(0.75)
    assert metrics.get_sample_value("ctrfast_shadow_absolute_difference_total", {"model": "m"}) == pytest.approx(0.75)
    first = next(record for record in caplog.records if record.name == "service.shadow")
    assert (first.__dict__["scores"], first.__dict__["shadow_scores"]) == ([0.1, 0.3], [0.35, 0.55])
    assert (first.__dict__["version"], first.__dict__["shadow_version"]) == (1, 2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_does_not_fit_the_queue_is_dropped_and_counted(sqlite: Services) -> None:
    metrics = CollectorRegistry()

    async def body() -> None:
        shelf = FakeShelf()
        shelf.scorer.may_go.clear()
        shadow = ShadowScorer(cast(Shelf, shelf), sqlite.shadow_store, metrics, waiting=2)
        task = asyncio.create_task(shadow.run())
        shadow.take(served(), *rows_of(0.1))
        await until(shelf.scorer.asked.is_set)  # the first is being scored
        for _ in range(5):
            shadow.take(served(), *rows_of(0.1))
        shelf.scorer.may_go.set()
        await until(lambda: metrics.get_sample_value("ctrfast_shadow_rows_total", {"model": "m"}) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(body)
    assert (stored(sqlite).requests, stored(sqlite).dropped) == (3, 3)
    assert metrics.get_sample_value("ctrfast_shadow_requests_total", {"model": "m", "end": "dropped"}) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_rows_that_wait_are_bounded_too(sqlite: Services) -> None:
    async def body() -> None:
        shadow = ShadowScorer(cast(Shelf, FakeShelf()), sqlite.shadow_store, CollectorRegistry())
        score, scores = rows_of(*[0.1] * 9000)
        for _ in range(3):
            shadow.take(served(), score, scores)
        assert next(iter(shadow._news.values())).dropped == 1
        task = asyncio.create_task(shadow.run())
        await until(lambda: next(iter(shadow._news.values())).rows == 18_000)
        shadow.take(served(), score, scores)
        await until(lambda: next(iter(shadow._news.values())).rows == 27_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(body)
    assert stored(sqlite).dropped == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("error", [DataError("no such column"), ZeroDivisionError()])
def test_a_shadow_that_cannot_score_is_counted_and_the_next_is_compared(sqlite: Services, error: Exception) -> None:
    async def body() -> None:
        shelf = FakeShelf()
        shadow = ShadowScorer(cast(Shelf, shelf), sqlite.shadow_store, CollectorRegistry())
        task = asyncio.create_task(shadow.run())
        shelf.scorer.error = error
        shadow.take(served(), *rows_of(0.1))
        await until(lambda: shadow._news and next(iter(shadow._news.values())).failed == 1)
        shelf.scorer.error, shelf.error = None, ModelUnavailableError("gone")
        shadow.take(served(), *rows_of(0.1))
        await until(lambda: next(iter(shadow._news.values())).failed == 2)
        shelf.error = None
        shadow.take(served(), *rows_of(0.1))
        await until(lambda: next(iter(shadow._news.values())).rows == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(body)
    assert (stored(sqlite).failed, stored(sqlite).rows) == (2, 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_figures_wait_for_a_database_that_does_not_answer(sqlite: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    def broken(*_: object) -> None:
        raise OperationalError("", {}, Exception())

    async def body() -> None:
        shadow = ShadowScorer(cast(Shelf, FakeShelf()), sqlite.shadow_store, CollectorRegistry())
        task = asyncio.create_task(shadow.run())
        shadow.take(served(), *rows_of(0.1))
        await until(lambda: shadow._news)
        with monkeypatch.context() as patch:
            patch.setattr(ShadowStore, "add", broken)
            await shadow.flush()
        assert sqlite.shadow_store.read("m") == []
        await shadow.flush()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(body)
    assert stored(sqlite).rows == 1


def test_a_share_that_is_not_met_takes_nothing() -> None:
    shadow = ShadowScorer(cast(Shelf, FakeShelf(share=0.4)), cast(ShadowStore, None), CollectorRegistry())
    assert not shadow.due("default", "m")  # chance says 0.5


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_write_that_is_under_way_is_waited_for(sqlite: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    add = ShadowStore.add

    def slow(store: ShadowStore, news: Any) -> None:
        begun.set()
        may_go_on.wait(120)
        add(store, news)

    monkeypatch.setattr(ShadowStore, "add", slow)

    async def body() -> None:
        shadow = ShadowScorer(cast(Shelf, FakeShelf()), sqlite.shadow_store, CollectorRegistry(), flush_s=0.01)
        task = asyncio.create_task(shadow.run())
        shadow.take(served(), *rows_of(0.1))
        await until(begun.is_set)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        may_go_on.set()
        await asyncio.gather(task, return_exceptions=True)
        assert stored(sqlite).rows == 1

    run(body)
