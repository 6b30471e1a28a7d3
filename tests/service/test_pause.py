"""Pause and resume with real parts: a worker, its runner, a small training; and programs that stop badly."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import update

from service.options import JobOptions
from service.problems import IllegalStateError
from service.states import FINAL, Kind
from service.tables import Job
from service.wiring import Services
from tests.service.conftest import quick_settings, wait_for
from tests.service.test_worker import ended, is_gone, reported, services, submit, working  # noqa: F401 - a fixture

TRAIN = {"batch_size": 200, "epochs": 6, "seed": 3, "model": {"hidden": [8], "embedding_dim": 4}, "log_every_steps": 1}


def is_paused(services: Services, job_id: str) -> None:  # noqa: F811
    wait_for(lambda: services.jobs.get(job_id).state == "paused", "the pause", 300)


@pytest.mark.timeout(1200)  # TensorFlow starts three times
def test_a_paused_training_ends_with_the_figures_of_an_undisturbed_one(home: Path, dataset: Path) -> None:
    parts = Services.build(quick_settings(home))
    parts.database.migrate()
    parts.datasets.register("small", dataset)
    jobs = parts.jobs
    spec = {**TRAIN, "dataset": "small"}
    with working(parts.settings):
        at = paused_half_way(parts, spec)
        assert list((parts.settings.job_folder(at.id) / "run" / "checkpoints").glob("step-*"))
        plain = ended(parts, jobs.enqueue(Kind.TRAIN, spec).id, 300)  # the worker is free for it
        assert (plain.state, plain.attempt, plain.attempts_left) == ("succeeded", 1, at.attempts_left - 1)
        assert jobs.get(at.id).last_seq == at.last_seq  # nothing moves a paused job
        jobs.resume(at.id)
        resumed = ended(parts, at.id, 300)
    assert (resumed.state, resumed.attempt, resumed.attempts_left) == ("succeeded", 2, at.attempts_left - 1)
    assert {"test_auc", "test_log_loss", "valid_auc"} <= set(plain.metrics)
    assert timeless(resumed.metrics) == timeless(plain.metrics)
    parts.database.dispose()


def paused_half_way(parts: Services, spec: Mapping[str, object]) -> Job:
    """A training that was paused between its steps; one that was quicker than the wish is followed by another."""
    for _ in range(8):
        job_id = parts.jobs.enqueue(Kind.TRAIN, spec).id
        wait_for(lambda job_id=job_id: parts.jobs.get(job_id).progress > 0, "the first steps", 300)
        with suppress(IllegalStateError):  # it has ended
            assert parts.jobs.pause(job_id).pausing
        wait_for(lambda job_id=job_id: parts.jobs.get(job_id).state in {"paused", *FINAL}, "the pause", 300)
        job = parts.jobs.get(job_id)
        if job.state == "paused" and job.progress < 1:
            return job
    pytest.fail("8 trainings had ended before they could be paused")


def timeless(metrics: Mapping[str, float]) -> dict[str, float]:
    """Figures that are no times."""
    return {name: value for name, value in metrics.items() if not name.endswith(("_s", "_wait_share"))}


def test_a_pause_frees_the_worker_and_keeps_what_the_child_left(services: Services) -> None:  # noqa: F811
    job_id = submit(services)
    with working(services.settings, "polite"):
        pid = reported(services, job_id, "pid")
        services.jobs.pause(job_id)
        is_paused(services, job_id)
        assert is_gone(pid)
        other = submit(services)
        wait_for(lambda: services.jobs.get(other).state == "running", "the next job")
        services.jobs.cancel(other)
        ended(services, other)
    services.jobs.resume(job_id)
    with working(services.settings, "done"):
        job = ended(services, job_id)
    assert (job.state, job.attempt, job.attempts_left) == ("succeeded", 2, 1)
    states = [event.data["state"] for event in services.jobs.events(job_id, 0).events if event.type == "state"]
    assert states == ["queued", "running", "paused", "queued", "running", "succeeded"]


def test_a_child_that_does_not_stop_is_killed_and_the_job_is_paused(home: Path, services: Services) -> None:  # noqa: F811
    job_id = submit(services)
    with working(quick_settings(home, cancel_grace_s=0.3), "stubborn"):
        pid = reported(services, job_id, "pid")
        services.jobs.pause(job_id)
        is_paused(services, job_id)
        assert is_gone(pid)


def test_cancel_goes_before_pause(home: Path, services: Services) -> None:  # noqa: F811
    job_id = submit(services)
    with working(quick_settings(home, cancel_grace_s=0.3), "stubborn"):
        reported(services, job_id, "pid")
        services.jobs.pause(job_id)
        services.jobs.cancel(job_id)
        assert ended(services, job_id).state == "cancelled"


def test_a_deadline_stops_a_running_child(home: Path, services: Services) -> None:  # noqa: F811
    job_id = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}, options=JobOptions(deadline_s=600)).id
    with working(services.settings, "polite"):
        reported(services, job_id, "pid")
        with services.database.write() as session:  # as if the time had passed
            session.execute(update(Job).where(Job.id == job_id).values(deadline_at=time.time() - 1))
        job = ended(services, job_id)
    assert (job.state, job.reason, job.attempt) == ("failed", "deadline", 1)
