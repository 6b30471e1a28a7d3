"""Who is next: priorities, places, deadlines, quotas, a full queue and labels, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from service.fingerprints import fingerprint
from service.jobs import JobStore
from service.leases import LeaseStore
from service.options import JobOptions, parse_label_filters
from service.problems import BadValueError, QueueFullError
from service.settings import Settings
from service.states import Kind, Reason
from service.wiring import Services


def enqueue(services: Services, *, owner: str = "", **options: Any) -> str:
    job = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}, owner=owner, options=JobOptions(**options))
    time.sleep(0.002)  # ids sort by the millisecond
    return job.id


def limited(services: Services, clock: Callable[[], float] = time.time, **limits: Any) -> tuple[JobStore, LeaseStore]:
    """Stores on the same database under other limits, and another clock."""
    settings: Settings = services.settings.model_copy(update=limits)
    return JobStore(services.database, settings, clock), LeaseStore(services.database, settings, clock)


def test_a_higher_priority_goes_first_then_the_older(services: Services) -> None:
    low, first, urgent, second = (enqueue(services, priority=priority) for priority in (-100, 0, 100, 0))
    order = [urgent, first, second, low]
    jobs = services.jobs.page(state=None, kind=None, limit=10, cursor=None).jobs
    assert services.jobs.positions(jobs) == {job_id: place for place, job_id in enumerate(order, start=1)}
    claimed = [services.leases.claim("w") for _ in order]
    assert [lease and lease.job_id for lease in claimed] == order
    assert services.jobs.positions(services.jobs.page(state=None, kind=None, limit=10, cursor=None).jobs) == {}


def test_a_paused_job_is_skipped_and_takes_its_old_place_again(services: Services) -> None:
    first, second = enqueue(services), enqueue(services)
    services.jobs.pause(first)
    lease = services.leases.claim("w")
    assert lease is not None
    assert lease.job_id == second
    assert services.leases.claim("w") is None
    services.jobs.resume(first)
    third = enqueue(services)
    assert services.jobs.positions([services.jobs.get(first), services.jobs.get(third)]) == {first: 1, third: 2}


def test_owners_beyond_their_share_are_passed(services: Services) -> None:
    _, leases = limited(services, max_running_per_key=2)
    greedy = [enqueue(services, owner="a", priority=9) for _ in range(4)]
    modest = enqueue(services, owner="b")
    held = [leases.claim("w") for _ in range(3)]
    assert [lease and lease.job_id for lease in held] == [*greedy[:2], modest]
    assert leases.claim("w") is None
    assert held[0] is not None
    services.jobs.cancel(greedy[0])
    assert leases.claim("w") is None  # it still has its worker
    leases.stopped(held[0])
    last = leases.claim("w")
    assert last is not None
    assert last.job_id == greedy[2]


def test_workers_at_the_same_moment_keep_to_the_share(services: Services) -> None:
    _, leases = limited(services, max_running_per_key=1)
    for _ in range(8):
        enqueue(services, owner="a")
    barrier = threading.Barrier(8)
    claimed: list[str] = []

    def claim() -> None:
        barrier.wait()
        if (lease := leases.claim("w")) is not None:
            claimed.append(lease.job_id)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 1


def test_a_full_queue_refuses_new_jobs_but_knows_old_ones(services: Services) -> None:
    jobs, leases = limited(services, max_queued=5)
    refused: list[QueueFullError] = []
    barrier = threading.Barrier(8)

    def submit(number: int) -> None:
        barrier.wait()
        try:
            jobs.enqueue(Kind.TRAIN, {}, key=f"k{number}")
        except QueueFullError as error:
            refused.append(error)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs.counts()["queued"] == 5
    assert [error.headers["Retry-After"] for error in refused] == ["10"] * 3
    known = jobs.get(jobs.page(state=None, kind=None, limit=1, cursor=None).jobs[0].id)
    assert jobs.enqueue(Kind.TRAIN, {}, key=known.idempotency_key).id == known.id
    assert leases.claim("w") is not None
    jobs.enqueue(Kind.TRAIN, {}, key="late")


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_retry_waits_twice_as_long_each_time_up_to_a_limit(services: Services) -> None:
    clock = Clock()
    jobs, leases = limited(services, clock, max_attempts=5, retry_first_s=1.0, retry_most_s=6.0)
    job_id = jobs.enqueue(Kind.TRAIN, {}).id
    for wait_s in (1, 2, 4, 6):
        lease = leases.claim("w")
        assert lease is not None
        assert leases.fail(lease, Reason.STORAGE, "disk") == "queued"
        assert jobs.get(job_id).not_before == clock.now + wait_s
        clock.now += wait_s - 0.01
        assert leases.claim("w") is None
        clock.now += 0.01
    lease = leases.claim("w")
    assert lease is not None
    assert leases.fail(lease, Reason.STORAGE, "disk") == "failed"


def test_a_deadline_ends_jobs_that_wait_pause_or_run(services: Services) -> None:
    clock = Clock()
    jobs, leases = limited(services, clock, lease_s=100.0)
    ids = [jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(priority=n, deadline_s=60)).id for n in (3, 2, 1)]
    free = jobs.enqueue(Kind.TRAIN, {}).id
    lease = leases.claim("w")
    assert lease is not None
    clock.now += 59
    assert not leases.renew(lease)
    assert leases.sweep() == 0
    jobs.pause(ids[1])
    clock.now += 1
    other = leases.claim("w")
    assert other is not None
    assert other.job_id == free  # the third is not begun any more
    assert leases.sweep() == 2
    assert leases.renew(lease)  # the child must stop, with time to save
    assert leases.succeed(lease, {}, lambda _: pytest.fail("delivered")) == "failed"
    for job_id in ids:
        job = jobs.get(job_id)
        assert (job.state, job.reason) == ("failed", "deadline")
        assert "60 seconds" in (job.message or "")
    clock.now += 5
    jobs.retry(ids[0])
    assert jobs.get(ids[0]).deadline_at == clock.now + 60  # what the caller asks for again counts anew


def test_labels_filter_before_the_cut(services: Services) -> None:
    ids = [enqueue(services, labels={"team": "ads" if n % 2 else "maps", "n": f"{n % 3}"}) for n in range(12)]
    wanted = [job_id for n, job_id in enumerate(ids) if n % 2 and n % 3 == 1]
    labels = parse_label_filters(["team=ads", "n=1"])
    seen: list[str] = []
    cursor = None
    while True:
        page = services.jobs.page(state=None, kind=None, labels=labels, limit=1, cursor=cursor)
        seen += [job.id for job in page.jobs]
        assert all(job.labels == {"team": "ads", "n": "1"} for job in page.jobs)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == wanted[::-1]
    assert services.jobs.page(state=None, kind=None, labels={"team": "x"}, limit=9, cursor=None).jobs == []


def test_label_filters() -> None:
    assert parse_label_filters(["a=b", "c=d=e", "f=", "a=b"]) == {"a": "b", "c": "d=e", "f": ""}
    for texts in (["a"], ["=b"], ["a b=c"], ["a=\x00"], ["a=" + "x" * 101], ["a=b", "a=c"]):
        with pytest.raises(BadValueError) as caught:
            parse_label_filters(texts)
        assert caught.value.path == f"label.{len(texts) - 1}"


def test_options_are_part_of_the_fingerprint_where_they_say_something() -> None:
    plain = fingerprint("train", {"a": 1})
    assert plain == "213c17753052d5d49f1e019828120b4d05d82d2b9d8fb4f0e4b9a5edfd8abf84"
    assert fingerprint("train", {"a": 1}, JobOptions(priority=0, labels={})) == plain
    others = [JobOptions(priority=1), JobOptions(deadline_s=5), JobOptions(labels={"a": "b"})]
    assert len({plain, *(fingerprint("train", {"a": 1}, options) for options in others)}) == 4
