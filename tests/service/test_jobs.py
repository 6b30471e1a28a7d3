"""The callers' side of the job store, on SQLite and PostgreSQL."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from service.fingerprints import fingerprint
from service.leases import Lease, Report
from service.problems import BadValueError, IdempotencyConflictError, IllegalStateError, NotFoundError
from service.states import Kind, Reason, State
from service.tables import Job
from service.wiring import Services

SPEC = {"dataset": "d", "batch_size": 8}


def enqueue(services: Services, **options: Any) -> Job:
    return services.jobs.enqueue(options.pop("kind", Kind.TRAIN), options.pop("spec", SPEC), **options)


def test_a_new_job_waits_and_says_so(services: Services) -> None:
    job = services.jobs.get(enqueue(services).id)
    assert (job.state, job.progress, job.attempt, job.spec) == ("queued", 0.0, 0, SPEC)
    page = services.jobs.events(job.id, 0)
    assert [(event.seq, event.type, event.data["state"]) for event in page.events] == [(1, "state", "queued")]
    assert not page.finished


def test_an_unknown_job_is_not_found(services: Services) -> None:
    store = services.jobs
    for call in (store.get, store.cancel, store.pause, store.resume, store.retry):
        with pytest.raises(NotFoundError):
            call("nope")


def test_the_same_key_and_body_is_one_job(services: Services) -> None:
    first = enqueue(services, key="k", owner="a")
    assert enqueue(services, key="k", owner="a", spec={"batch_size": 8, "dataset": "d"}).id == first.id
    assert enqueue(services, key="k", owner="b").id != first.id
    assert enqueue(services, key="other", owner="a").id != first.id
    with pytest.raises(IdempotencyConflictError):
        enqueue(services, key="k", owner="a", spec={"dataset": "e"})


def test_twins_at_the_same_moment_are_one_job(services: Services) -> None:
    ids: list[str] = []
    barrier = threading.Barrier(12)

    def submit() -> None:
        barrier.wait()
        ids.append(enqueue(services, key="k").id)

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 12
    assert len(set(ids)) == 1
    assert len(services.jobs.page(state=None, kind=None, limit=50, cursor=None).jobs) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\x00b", "\ud800"])
def test_values_that_no_database_keeps_are_refused(value: object) -> None:
    with pytest.raises(BadValueError):
        fingerprint("train", {"x": [value]})


def test_an_escaped_backslash_is_no_nul() -> None:
    assert fingerprint("train", {"x": "\\u0000"}) != fingerprint("train", {"x": "\\\\u0000"})


def test_a_list_is_filtered_first_and_then_cut(services: Services) -> None:
    kinds = [Kind.TRAIN, Kind.SCORE] * 5
    ids = [enqueue(services, kind=kind).id for kind in kinds]
    wanted = [job_id for job_id, kind in zip(ids, kinds, strict=True) if kind is Kind.SCORE]
    seen: list[str] = []
    cursor = None
    while True:
        page = services.jobs.page(state=State.QUEUED, kind=Kind.SCORE, limit=2, cursor=cursor)
        seen += [job.id for job in page.jobs]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.jobs) == 2
    assert sorted(seen, reverse=True) == seen
    assert set(seen) == set(wanted)


def test_cancel_of_a_waiting_job_is_at_once(services: Services) -> None:
    job = services.jobs.cancel(enqueue(services).id)
    assert job.state == State.CANCELLED
    assert job.finished_at is not None
    assert services.leases.claim("w") is None
    with pytest.raises(IllegalStateError):
        services.jobs.cancel(job.id)


def test_cancel_of_a_running_job_asks_its_worker(services: Services) -> None:
    job = enqueue(services)
    lease = services.leases.claim("w")
    assert lease is not None
    assert services.jobs.cancel(job.id).state == State.CANCELLING
    assert services.jobs.cancel(job.id).state == State.CANCELLING
    assert services.leases.renew(lease)
    with pytest.raises(IllegalStateError):
        services.jobs.retry(job.id)
    assert services.leases.stopped(lease) is State.CANCELLED
    page = services.jobs.events(job.id, 0)
    assert [event.data["state"] for event in page.events] == ["queued", "running", "cancelling", "cancelled"]
    assert page.finished


def test_retry_of_a_failed_job(services: Services) -> None:
    job = enqueue(services)
    with pytest.raises(IllegalStateError):
        services.jobs.retry(job.id)
    lease = services.leases.claim("w")
    assert lease is not None
    with pytest.raises(IllegalStateError):
        services.jobs.retry(job.id)
    services.leases.renew(lease, Report(progress=0.5, metrics={"loss": 0.7}))
    services.leases.fail(lease, Reason.BAD_DATA, "no")
    services.jobs.retry(job.id)
    again = services.jobs.get(job.id)
    assert (again.progress, again.metrics, again.started_at, again.finished_at) == (0.0, {}, None, None)
    assert (again.state, again.reason, again.message) == ("queued", None, None)
    second = services.leases.claim("w")
    assert second is not None
    assert second.attempt == 2


def test_a_name_that_is_being_prepared(services: Services) -> None:
    job = enqueue(services, kind=Kind.PREPARE, spec={"name": "d"})
    enqueue(services, spec={"name": "e"})
    assert services.jobs.is_preparing("d")
    assert not services.jobs.is_preparing("e")
    assert services.leases.claim("w") is not None
    assert services.jobs.is_preparing("d")
    services.jobs.cancel(job.id)
    lease = Lease(job.id, 1, Kind.PREPARE, {})
    services.leases.stopped(lease)
    assert not services.jobs.is_preparing("d")


def test_counts_name_every_state(services: Services) -> None:
    enqueue(services)
    assert services.jobs.counts() == {
        "queued": 1, "running": 0, "paused": 0, "cancelling": 0, "succeeded": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip


def test_specs_are_read_as_they_were_written(services: Services) -> None:
    draw = random.Random(3)
    deep: Any = "bottom"
    for _ in range(60):  # a body may nest nearly so deep
        deep = {"in": [deep]}
    spec = {
        "floats": [draw.uniform(-1, 1) * 10.0 ** draw.randint(-30, 10) for _ in range(1000)],
        "integers": [0, -1, 2**53 + 1, 10**30],
        "texts": ["größe", "\u2028", "\U0001f600", 'a "quoted" \\ one', "\x7f\t"],
        "others": [None, True, False, {}, [], ""],
        "deep": deep,
    }
    found = services.jobs.get(services.jobs.enqueue(Kind.TRAIN, spec).id).spec
    assert found == spec
    assert [type(value) for value in found["others"]] == [type(value) for value in spec["others"]]
