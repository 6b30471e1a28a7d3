"""The workers' side of the job store, on SQLite and PostgreSQL: claims, fencing, sweeps."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import update

from service.jobs import JobStore
from service.leases import SWEEP_MARGIN_S, SWEEPS_PER_LEASE, Lease, LeaseLostError, LeaseStore, Report
from service.settings import Settings
from service.states import Kind, Reason, State
from service.tables import Job
from service.wiring import Services
from tests.service.conftest import wait_for


def queue(services: Services, count: int = 1) -> list[str]:
    ids = []
    for _ in range(count):
        ids.append(services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}).id)
        time.sleep(0.002)  # ids sort by the millisecond
    return ids


def claim(services: Services, worker: str = "w") -> Lease:
    """Claim a job, after its back-off where it has one."""
    lease: Lease = wait_for(lambda: services.leases.claim(worker), "the claim")
    return lease


def let_lapse(services: Services, job_id: str) -> None:
    with services.database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(lease_until=time.time() - 60))


def test_the_oldest_waits_shortest(services: Services) -> None:
    ids = queue(services, 3)
    assert [claim(services).job_id for _ in ids] == ids
    assert services.leases.claim("w") is None


def test_each_job_is_claimed_once(services: Services) -> None:
    ids = queue(services, 20)
    claimed: list[str] = []

    def work(name: str) -> None:
        while (lease := services.leases.claim(name)) is not None:
            claimed.append(lease.job_id)
            services.leases.succeed(lease, {}, lambda _: {})

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while (lease := services.leases.claim("last")) is not None:  # a locked row is skipped, not waited for
        claimed.append(lease.job_id)
    assert sorted(claimed) == ids


def test_reports_become_progress_metrics_and_events(services: Services) -> None:
    (job_id,) = queue(services)
    lease = claim(services)
    records = [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.6}]
    report = Report(progress=0.25, eta_s=9.0, facts={"step": 2}, metrics={"loss": 0.6}, records=records)
    assert not services.leases.renew(lease, report)
    job = services.jobs.get(job_id)
    assert (job.progress, job.eta_s, job.metrics) == (0.25, 9.0, {"loss": 0.6})
    assert services.jobs.metric_series(job_id)[0] == records
    services.leases.succeed(lease, {"test_auc": 0.8}, lambda _: {"made": 1})
    job = services.jobs.get(job_id)
    assert (job.state, job.progress, job.result) == ("succeeded", 1.0, {"made": 1})
    assert job.metrics == {"loss": 0.6, "test_auc": 0.8}
    events = services.jobs.events(job_id, 0).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events] == ["state", "state", "metric", "metric", "progress", "state"]
    assert [event.seq for event in services.jobs.events(job_id, 3).events] == [4, 5, 6]


def refuse_everything(services: Services, stale: Lease) -> None:
    delivered: list[str] = []
    for call in (
        lambda: services.leases.renew(stale, Report(progress=1.0)),
        lambda: services.leases.succeed(stale, {}, lambda _: delivered.append("x") or {}),
        lambda: services.leases.fail(stale, Reason.INTERNAL, "zombie"),
        lambda: services.leases.stopped(stale),
        lambda: services.leases.fail(stale, Reason.WORKER_LOST, "zombie"),
    ):
        with pytest.raises(LeaseLostError):
            call()
    assert delivered == []


def test_a_worker_that_lost_its_lease_can_write_nothing(services: Services) -> None:
    (job_id,) = queue(services)
    stale = claim(services, "slow")
    let_lapse(services, job_id)
    assert services.leases.sweep() == 1
    refuse_everything(services, stale)  # the job waits
    current = claim(services, "fresh")
    assert current.attempt == stale.attempt + 1
    refuse_everything(services, stale)  # another works on it
    services.leases.succeed(current, {}, lambda _: {})
    refuse_everything(services, stale)  # it has ended
    assert services.jobs.get(job_id).state == State.SUCCEEDED


def test_a_lost_worker_costs_an_attempt_and_the_last_one_fails_the_job(services: Services) -> None:
    (job_id,) = queue(services)
    assert services.leases.fail(claim(services), Reason.WORKER_LOST, "killed") is State.QUEUED
    assert services.leases.fail(claim(services), Reason.WORKER_LOST, "killed again") is State.FAILED
    job = services.jobs.get(job_id)
    assert (job.state, job.reason, job.message, job.attempt) == ("failed", "worker_lost", "killed again", 2)


def test_a_sweep_takes_lapsed_jobs_alone(services: Services) -> None:
    ids = queue(services, 3)
    for _ in ids:
        claim(services)
    assert services.leases.sweep() == 0
    let_lapse(services, ids[1])
    assert services.leases.sweep() == 1
    assert [services.jobs.get(job_id).state for job_id in ids] == ["running", "queued", "running"]


def test_a_lapsed_cancel_ends_as_cancelled(services: Services) -> None:
    (job_id,) = queue(services)
    claim(services)
    services.jobs.cancel(job_id)
    let_lapse(services, job_id)
    services.leases.sweep()
    assert services.jobs.get(job_id).state == State.CANCELLED


def test_a_shutdown_costs_no_attempt(services: Services) -> None:
    (job_id,) = queue(services)
    for _ in range(5):
        assert services.leases.stopped(claim(services)) is State.QUEUED
    assert services.jobs.get(job_id).attempts_left == 2


@pytest.mark.parametrize("end", ["succeed", "fail", "lost"])
def test_a_cancel_wins_over_any_end(services: Services, end: str) -> None:
    (job_id,) = queue(services)
    lease = claim(services)
    services.jobs.cancel(job_id)
    delivered: list[str] = []
    state = {
        "succeed": lambda: services.leases.succeed(lease, {}, lambda _: delivered.append("x") or {}),
        "fail": lambda: services.leases.fail(lease, Reason.INTERNAL, "x"),
        "lost": lambda: services.leases.fail(lease, Reason.WORKER_LOST, "x"),
    }[end]()
    assert state is State.CANCELLED
    assert delivered == []


def test_a_delivery_that_raises_leaves_the_job_running(services: Services) -> None:
    (job_id,) = queue(services)
    lease = claim(services)

    def deliver(_: object) -> dict[str, object]:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        services.leases.succeed(lease, {}, deliver)
    assert services.jobs.get(job_id).state == State.RUNNING


def test_as_it_is_set_a_dead_worker_is_noticed_within_30_s(services: Services) -> None:
    settings = Settings(home=services.settings.home_dir)
    now = 1000.0
    leases = LeaseStore(services.database, settings, lambda: now)
    JobStore(services.database, settings, lambda: now).enqueue(Kind.TRAIN, {"dataset": "d"})
    assert leases.claim("w") is not None  # and dies
    now += settings.lease_s + SWEEP_MARGIN_S
    assert leases.sweep() == 0
    now += settings.lease_s / SWEEPS_PER_LEASE
    assert leases.sweep() == 1
    assert now < 1030
