"""Pause and resume with real parts: a worker, its runner, a small training; and programs that stop badly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.options import JobOptions
from service.states import Kind
from service.wiring import Services
from tests.service.conftest import EMBEDDED_AND_SHARED, quick_settings, wait_for
from tests.service.test_worker import ended, is_gone, reported, services, submit, working  # noqa: F401 - a fixture

TRAIN = {"batch_size": 200, "epochs": 6, "seed": 3, "model": {"hidden": [8], "embedding_dim": 4}, "log_every_steps": 1}


def is_paused(services: Services, job_id: str) -> None:  # noqa: F811
    wait_for(lambda: services.jobs.get(job_id).state == "paused", "the pause", 150)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, float]:
    """Figures of a run that nobody pauses, once it was trained: they are the same wherever it lies."""
    return {}


@pytest.mark.timeout(600)  # TensorFlow starts three times
@EMBEDDED_AND_SHARED
def test_a_paused_training_ends_with_the_figures_of_an_undisturbed_one(
    home: Path, dataset: Path, backing: dict[str, str], undisturbed: dict[str, float]
) -> None:
    parts = Services.build(quick_settings(home, lease_s=30.0, **backing))
    parts.database.migrate()
    parts.datasets.register("small", dataset)
    jobs = parts.jobs
    spec = {**TRAIN, "dataset": "small"}
    disturbed = jobs.enqueue(Kind.TRAIN, spec).id
    with working(parts.settings):
        wait_for(lambda: jobs.get(disturbed).progress > 0, "the first steps", 150)
        assert jobs.pause(disturbed).pausing
        is_paused(parts, disturbed)
        assert list((parts.settings.job_folder(disturbed) / "run" / "checkpoints").glob("step-*"))
        at = jobs.get(disturbed)
        assert 0 < at.progress < 1
        if not undisturbed:
            plain = ended(parts, jobs.enqueue(Kind.TRAIN, spec).id, 150)  # the worker is free for it
            assert (plain.state, plain.attempt, plain.attempts_left) == ("succeeded", 1, at.attempts_left - 1)
            undisturbed |= timeless(plain.metrics)
            assert jobs.get(disturbed).last_seq == at.last_seq  # nothing moves a paused job
        jobs.resume(disturbed)
        resumed = ended(parts, disturbed, 150)
    assert (resumed.state, resumed.attempt, resumed.attempts_left) == ("succeeded", 2, at.attempts_left - 1)
    assert {"test_auc", "test_log_loss", "valid_auc"} <= set(undisturbed)
    assert timeless(resumed.metrics) == undisturbed
    parts.database.dispose()


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
    job_id = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}, options=JobOptions(deadline_s=1.5)).id
    with working(services.settings, "polite"):
        job = ended(services, job_id)
    assert (job.state, job.reason, job.attempt) == ("failed", "deadline", 1)
