"""Workers share one queue, on SQLite and PostgreSQL; with processes that are really stopped, and many jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.states import Kind
from service.tables import DatasetRow
from service.wiring import Services
from tests.service.conftest import wait_for
from tests.service.test_leases import let_lapse
from tests.service.test_worker import ended, is_gone, reported, working

ROOT = Path(__file__).parents[2]
FACTS = {"train": 100, "valid": 0, "test": 0}

StartWorker = Callable[..., subprocess.Popen[bytes]]


def submit(services: Services, count: int = 1) -> list[str]:
    row = DatasetRow(
        name="d", path="/nowhere", hash="h", preset="criteo", rows=FACTS, label_rate={}, table_rows=1, created_at=0
    )
    with services.database.write() as session:
        session.add(row)
    return [services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}).id for _ in range(count)]


@pytest.fixture
def start_worker(settings: Settings) -> Iterator[StartWorker]:
    """Start worker processes; what is left of them is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: object) -> subprocess.Popen[bytes]:
        arguments = [str(part) for part in (settings.home_dir, settings.url, *command)]
        started.append(subprocess.Popen([sys.executable, "-m", "tests.service.worker_program", *arguments], cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in started:
        process.wait(180)


def test_several_workers_run_each_job_once(services: Services) -> None:
    ids = submit(services, 12)
    settings = services.settings
    with working(settings, "done"), working(settings, "done"), working(settings, "done"):
        assert {ended(services, job_id).state for job_id in ids} == {"succeeded"}
    assert {services.jobs.get(job_id).attempt for job_id in ids} == {1}
    for job_id in ids:
        events = services.jobs.events(job_id, 0).events
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.data["state"] for event in events if event.type == "state"] == ["queued", "running", "succeeded"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_three_worker_processes_run_a_hundred_jobs_once_each(services: Services, start_worker: StartWorker) -> None:
    ids = submit(services, 100)
    for _ in range(3):
        start_worker("count")
    wait_for(lambda: services.jobs.counts()["succeeded"] == 100, "the end of all jobs", 800)
    for job_id in ids:
        assert (services.settings.job_folder(job_id) / "runs").read_text() == "1\n"
        assert services.jobs.get(job_id).attempt == 1


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(
    services: Services, start_worker: StartWorker, tmp_path: Path
) -> None:
    (job_id,) = submit(services)
    marker = tmp_path / "go"
    zombie = start_worker("late", marker)
    child = reported(services, job_id, "pid")
    zombie.send_signal(signal.SIGSTOP)
    let_lapse(services, job_id)  # as it does if nobody renews it
    with working(services.settings, "done"):  # it sweeps the lapsed lease, and takes the job
        job = ended(services, job_id)
    assert (job.state, job.attempt, job.result) == ("succeeded", 2, {"note": "made"})
    marker.touch()  # the forgotten child has done its work, and says so to the sleeping worker
    wait_for(lambda: is_gone(child), "the end of the first attempt")
    zombie.send_signal(signal.SIGCONT)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), "the worker's look at its child")
    second = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}).id  # it goes on with the next job
    assert ended(services, second).metrics == {"zombie": 1.0}
    found = services.jobs.get(job_id)
    assert (found.metrics, found.result, found.last_seq) == (job.metrics, job.result, job.last_seq)


def test_the_job_of_a_killed_worker_is_noticed_and_tried_again(
    services: Services, start_worker: StartWorker, tmp_path: Path
) -> None:
    (job_id,) = submit(services)
    worker = start_worker("late", tmp_path / "never")
    child = reported(services, job_id, "pid")
    worker.kill()
    worker.wait()
    assert services.leases.sweep() == 0
    let_lapse(services, job_id)
    assert services.leases.sweep() == 1
    job = services.jobs.get(job_id)
    assert (job.state, job.attempt, job.attempts_left) == ("queued", 1, 1)
    told = services.jobs.events(job_id, job.last_seq - 1).events[0].data
    assert (told["reason"], told["wait_s"]) == ("worker_lost", 0.05)
    os.kill(child, signal.SIGKILL)  # the real runner ends with its worker; this program does not
