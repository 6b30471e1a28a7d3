"""A worker with programs of the tests' own in the runner's place: every way in which a child can end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.assignments import LOG, Assigner
from service.attempt import Attempt
from service.deliveries import Deliveries
from service.leases import Lease
from service.settings import Settings
from service.states import FINAL, Kind, State
from service.tables import DatasetRow, Job
from service.wiring import Services
from service.worker import RUNNER, Worker
from tests.service.conftest import fake_command, quick_settings, wait_for
from tests.service.made_tables import make_tables
from tests.service.test_leases import let_lapse

SPEC = {"dataset": "d"}


@pytest.fixture
def services(home: Path) -> Iterator[Services]:
    settings = quick_settings(home)
    make_tables(settings.url)
    services = Services.build(settings)
    register_dataset(services)
    yield services
    services.database.dispose()


def register_dataset(services: Services) -> None:
    """The dataset that `SPEC` names."""
    with services.database.write() as session:
        facts = {"train": 100, "valid": 0, "test": 0}
        session.add(
            DatasetRow(
                name="d",
                path="/nowhere",
                hash="h",
                preset="criteo",
                rows=facts,
                label_rate={},
                table_rows=1,
                created_at=0,
            )
        )


@contextmanager
def working(settings: Settings, *command: object) -> Iterator[Worker]:
    """A worker in a thread; without a command it runs real jobs."""
    worker = Worker(settings, fake_command(*command) if command else RUNNER)  # type: ignore[arg-type]
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(180)
        assert not thread.is_alive()


def ended(services: Services, job_id: str, timeout_s: float = 180) -> Job:
    def final() -> Job | None:
        job = services.jobs.get(job_id)
        return job if State(job.state) in FINAL else None

    return wait_for(final, "the job's end", timeout_s)


def reported(services: Services, job_id: str, fact: str) -> int:
    """A process id that the child told."""

    def find() -> int | None:
        for event in services.jobs.events(job_id, 0).events:
            if fact in event.data:
                return int(event.data[fact])
        return None

    return wait_for(find, f"the child's {fact}")


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def submit(services: Services, **spec: object) -> str:
    return services.jobs.enqueue(Kind.TRAIN, {**SPEC, **spec}).id


def test_done(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.progress, job.result, job.attempt) == ("succeeded", 1.0, {"note": "made"}, 1)
    assert job.metrics == {"loss": 0.5, "test_auc": 0.75, "bad": None}
    assert services.jobs.metric_series(job_id)[0] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    log = (services.settings.job_folder(job_id) / LOG).read_text()
    assert "--- attempt 1" in log
    assert "hello from the log" in log


@pytest.mark.parametrize(("told", "reason"), [("bad_data", "bad_data"), ("nan_loss", "nan_loss")])
def test_failed(services: Services, told: str, reason: str) -> None:
    job_id = submit(services)
    with working(services.settings, "fail", told):
        job = ended(services, job_id)
    assert (job.state, job.reason, job.message, job.attempt) == ("failed", reason, "it went wrong", 1)


@pytest.mark.parametrize(("told", "reason"), [("storage", "storage"), ("internal", "internal"), ("odd", "internal")])
def test_what_a_retry_can_mend_is_tried_again(services: Services, told: str, reason: str) -> None:
    job_id = submit(services)
    with working(services.settings, "fail", told):
        job = ended(services, job_id)
    assert (job.state, job.reason, job.message, job.attempt) == ("failed", reason, "it went wrong", 2)


def test_a_killed_child_is_tried_again(services: Services, tmp_path: Path) -> None:
    job_id = submit(services)
    with working(services.settings, "die-once", tmp_path / "marker"):
        job = ended(services, job_id)
    assert (job.state, job.metrics, job.attempt) == ("succeeded", {"attempt": 2}, 2)
    states = [event.data["state"] for event in services.jobs.events(job_id, 0).events if event.type == "state"]
    assert states == ["queued", "running", "queued", "running", "succeeded"]


def test_a_child_that_is_killed_each_time_fails_the_job(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "die"):
        job = ended(services, job_id)
    assert (job.state, job.reason, job.attempt) == ("failed", "worker_lost", 2)
    assert "SIGKILL" in (job.message or "")


def test_a_child_that_ends_without_a_word_is_lost(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "exit", 3):
        job = ended(services, job_id)
    assert (job.reason, job.attempt) == ("worker_lost", 2)


def test_cancel_lets_the_child_end_by_itself(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "polite"):
        pid = reported(services, job_id, "pid")
        services.jobs.cancel(job_id)
        assert ended(services, job_id).state == State.CANCELLED
        assert is_gone(pid)


def test_cancel_kills_a_child_that_does_not_end(home: Path, services: Services) -> None:
    settings = quick_settings(home, cancel_grace_s=0.3)
    job_id = submit(services)
    with working(settings, "stubborn"):
        pid = reported(services, job_id, "pid")
        services.jobs.cancel(job_id)
        assert ended(services, job_id).state == State.CANCELLED
        assert is_gone(pid)


def test_a_kill_reaches_the_childs_own_children(home: Path, services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "family"):
        grandchild = reported(services, job_id, "grandchild")
        os.kill(reported(services, job_id, "pid"), signal.SIGKILL)
        wait_for(lambda: is_gone(grandchild), "the grandchild's end")


@pytest.mark.parametrize("mode", ["polite", "stubborn"])
def test_a_shutdown_puts_the_job_back(home: Path, services: Services, mode: str) -> None:
    settings = quick_settings(home, shutdown_grace_s=0.3)
    job_id = submit(services)
    with working(settings, mode):
        pid = reported(services, job_id, "pid")
    assert is_gone(pid)
    job = services.jobs.get(job_id)
    assert (job.state, job.attempts_left) == ("queued", 2)


def test_a_lost_lease_kills_the_child_and_writes_nothing(services: Services) -> None:
    job_id = submit(services)
    with working(services.settings, "stubborn"):
        pid = reported(services, job_id, "pid")
        with services.database.write() as session:  # as if another worker had taken the job after a long pause
            values = {"attempt": 7, "lease_owner": "other", "lease_until": time.time() + 60}
            session.execute(update(Job).where(Job.id == job_id).values(**values))
        before = services.jobs.get(job_id).last_seq
        wait_for(lambda: is_gone(pid), "the child's end")
        time.sleep(0.3)
        job = services.jobs.get(job_id)
    assert (job.state, job.lease_owner, job.attempt, job.last_seq) == ("running", "other", 7, before)


def test_a_job_of_a_worker_that_is_gone_is_taken_over(services: Services) -> None:
    job_id = submit(services)
    assert services.leases.claim("dead") is not None
    let_lapse(services, job_id)  # nobody has renewed it
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.attempt) == ("succeeded", 2)


def test_what_has_gone_since_submission_fails_the_job(services: Services) -> None:
    job_id = services.jobs.enqueue(Kind.TRAIN, {"dataset": "vanished"}).id
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.reason) == ("failed", "bad_data")


def test_a_publication_without_a_bundle_fails_and_lists_nothing(services: Services) -> None:
    job_id = submit(services, publish_as="m")
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.reason) == ("failed", "internal")
    assert services.registry.names() == []
    assert str(services.settings.home_dir) not in (job.message or "")


def test_the_assignment_holds_what_the_registers_say(services: Services, tmp_path: Path) -> None:
    job_id = submit(services)
    with working(services.settings, "tell", "dataset_hash"):
        job = ended(services, job_id)
    assert job.metrics == {"dataset_hash": "h"}


@pytest.mark.parametrize("where", [(Assigner, "assign"), (Deliveries, "deliver")])
def test_an_unexpected_error_fails_the_job_and_the_worker_goes_on(
    services: Services, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    kind, name = where
    whole = getattr(kind, name)

    def broken(*arguments: Any) -> Any:
        lease = next(argument for argument in arguments if isinstance(argument, Lease))
        if "seed" in lease.spec:
            raise ZeroDivisionError
        return whole(*arguments)

    monkeypatch.setattr(kind, name, broken)
    bad, good = submit(services, seed=1), submit(services)
    with working(services.settings, "done"):
        job = ended(services, bad)
        assert (job.state, job.reason, job.attempt) == ("failed", "internal", 2)
        assert ended(services, good).state == "succeeded"


def test_an_attempt_that_breaks_off_does_not_end_the_worker(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    accompany = Attempt.accompany
    failures = [ZeroDivisionError()]

    def broken(self: Attempt) -> None:
        if failures:
            raise failures.pop()
        accompany(self)

    monkeypatch.setattr(Attempt, "accompany", broken)
    job_id = submit(services)
    with working(services.settings, "done"):
        wait_for(lambda: not failures, "the failure")
        let_lapse(services, job_id)
        services.leases.sweep()
        job = ended(services, job_id)
    assert (job.state, job.attempt) == ("succeeded", 2)
