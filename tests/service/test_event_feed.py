"""Many streams of events cost one look at the database, miss nothing, and end where it cannot be read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress

import pytest
from sqlalchemy.exc import OperationalError

from service.event_feed import EventFeed
from service.events import MOST_NEWS, EventPage, Place
from service.jobs import JobStore
from service.leases import Report
from service.states import Kind
from service.wiring import Services
from tests.service.test_leases import claim


class CountedJobs(JobStore):
    """What the feed asks the database."""

    asked: Counter[str]

    def __init__(self, services: Services) -> None:
        super().__init__(services.database, services.settings)
        self.asked = Counter()
        self.is_away = False

    def events(self, job_id: str, after: int, limit: int = 500) -> EventPage:
        self.asked["events"] += 1
        return super().events(job_id, after, limit)

    def news(self, places: Collection[Place]) -> dict[Place, EventPage | None]:
        self.asked["news"] += 1
        if self.is_away:
            raise OperationalError("select", {}, Exception("away"))
        return super().news(places)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(180):
        while not condition():
            await asyncio.sleep(0.01)


async def take(feed: EventFeed, job_id: str, after: int, into: list[bytes], wait_s: float = 0.0) -> None:
    async for piece in feed.stream(job_id, after):
        into.append(piece)
        await asyncio.sleep(wait_s)


def numbers(pieces: list[bytes]) -> list[int]:
    lines = b"".join(pieces).split(b"\r\n")
    return [int(line.removeprefix(b"id: ")) for line in lines if line.startswith(b"id: ")]


def test_streams_share_looks_and_readings(services: Services) -> None:
    jobs = CountedJobs(services)
    busy, quiet = (services.jobs.enqueue(Kind.TRAIN, {}).id for _ in range(2))

    async def run() -> None:
        feed = EventFeed(jobs)
        watching = asyncio.create_task(feed.watch())
        heard: list[list[bytes]] = [[] for _ in range(20)]
        streams = [
            asyncio.create_task(take(feed, busy if number % 2 else quiet, 0, pieces))
            for number, pieces in enumerate(heard)
        ]
        await until(lambda: all(numbers(pieces) for pieces in heard))
        await until(lambda: jobs.asked["news"] >= 1)
        before = jobs.asked.copy()
        await until(lambda: jobs.asked["news"] >= before["news"] + 3)
        assert jobs.asked["events"] == before["events"]  # nobody reads while nothing happens
        lease = await asyncio.to_thread(claim, services)
        assert lease.job_id == busy
        for step in range(5):
            await asyncio.to_thread(services.leases.renew, lease, Report(records=[{"step": step, "loss": 1.0}]))
            await asyncio.sleep(0.1)
        await asyncio.to_thread(services.leases.succeed, lease, {}, lambda _: {})
        await until(lambda: all(stream.done() for stream in streams[1::2]))
        assert jobs.asked["events"] == before["events"]  # the looks have brought it all
        assert [numbers(pieces) for pieces in heard[1::2]] == [[*range(1, 9)]] * 10
        assert [numbers(pieces) for pieces in heard[0::2]] == [[1]] * 10
        assert not any(stream.done() for stream in streams[0::2])
        for task in (watching, *streams):
            task.cancel()
        await asyncio.gather(watching, *streams, return_exceptions=True)

    asyncio.run(run())


def test_quick_slow_and_late_streams_bring_the_same_bytes(services: Services) -> None:
    jobs = CountedJobs(services)
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id

    async def run() -> None:
        feed = EventFeed(jobs)
        watching = asyncio.create_task(feed.watch())
        quick: list[bytes] = []
        slow: list[bytes] = []
        late: list[bytes] = []
        streams = [
            asyncio.create_task(take(feed, job_id, 0, quick)),
            asyncio.create_task(take(feed, job_id, 0, slow, 1.0)),
        ]
        lease = await asyncio.to_thread(claim, services)
        for step in range(6):
            report = Report(progress=step / 10, records=[{"step": step, "loss": 1 / 3}], lines=["a\u2028b"])
            await asyncio.to_thread(services.leases.renew, lease, report)
            await asyncio.sleep(0.1)
        many = Report(lines=[f"line {number}" for number in range(2 * MOST_NEWS)])
        await until(lambda: len(numbers(quick)) >= 2 + 6 * 3)
        streams.append(asyncio.create_task(take(feed, job_id, 5, late)))
        await until(lambda: bool(late))
        read = jobs.asked["events"]
        await asyncio.to_thread(services.leases.renew, lease, many)
        await until(lambda: len(numbers(quick)) >= 2 + 6 * 3 + len(many.lines))
        assert jobs.asked["events"] > read  # more than a look brings
        await asyncio.to_thread(services.leases.succeed, lease, {"auc": 0.5}, lambda _: {})
        await asyncio.wait_for(asyncio.gather(*streams), 180)
        whole = [piece async for piece in feed.stream(job_id, 0)]
        tail = [piece async for piece in feed.stream(job_id, 5)]
        last = services.jobs.newest_events([job_id])[job_id]
        assert len(whole) == 1
        assert numbers(whole) == [*range(1, last + 1)]
        assert b"".join(quick) == b"".join(slow) == whole[0]
        assert b"".join(late) == b"".join(tail)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())


def test_a_stream_that_lags_catches_up_beside_one_that_does_not(services: Services) -> None:
    """A reader far behind takes the pieces of its own reading; the other goes on at each look meanwhile."""
    jobs = CountedJobs(services)
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id

    async def run() -> None:
        feed = EventFeed(jobs)
        watching = asyncio.create_task(feed.watch())
        lease = await asyncio.to_thread(claim, services)
        for part in range(3):
            many = Report(lines=[f"line {part} {number}" for number in range(400)])
            await asyncio.to_thread(services.leases.renew, lease, many)
        quick: list[bytes] = []
        lagging: list[bytes] = []
        streams = [
            asyncio.create_task(take(feed, job_id, 1202, quick)),
            asyncio.create_task(take(feed, job_id, 0, lagging, 0.3)),
        ]
        for step in range(3):
            await asyncio.to_thread(services.leases.renew, lease, Report(records=[{"step": step, "loss": 1.0}]))
            await until(lambda step=step: numbers(quick) == [*range(1203, 1204 + step)])
        await asyncio.to_thread(services.leases.succeed, lease, {}, lambda _: {})
        await asyncio.wait_for(asyncio.gather(*streams), 180)
        assert numbers(quick) == [*range(1203, 1207)]
        assert numbers(lagging) == [*range(1, 1207)]
        assert max(len(numbers([piece])) for piece in lagging) == 500
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())


def test_one_stream_that_leaves_takes_no_other_along(services: Services) -> None:
    jobs = CountedJobs(services)
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id

    async def run() -> None:
        feed = EventFeed(jobs)
        watching = asyncio.create_task(feed.watch())
        stays: list[bytes] = []
        leaver = asyncio.create_task(take(feed, job_id, 0, []))
        stayer = asyncio.create_task(take(feed, job_id, 0, stays))
        await asyncio.sleep(0)  # both wait for one reading
        leaver.cancel()
        with suppress(asyncio.CancelledError):
            await leaver
        await until(lambda: numbers(stays) == [1])
        await asyncio.to_thread(services.jobs.cancel, job_id)
        await asyncio.wait_for(stayer, 180)
        assert numbers(stays) == [1, 2]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())


def test_a_database_that_is_away_ends_the_streams_and_not_the_feed(services: Services) -> None:
    jobs = CountedJobs(services)
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id

    async def run() -> None:
        feed = EventFeed(jobs)
        watching = asyncio.create_task(feed.watch())
        jobs.is_away = True
        for _ in range(2):
            with pytest.raises(OperationalError):
                await asyncio.wait_for(take(feed, job_id, 0, []), 180)
        jobs.is_away = False
        heard: list[bytes] = []
        stream = asyncio.create_task(take(feed, job_id, 1, heard))
        await until(lambda: jobs.asked["news"] > 3)
        await asyncio.to_thread(services.jobs.cancel, job_id)
        await asyncio.wait_for(stream, 180)
        assert numbers(heard) == [2]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
