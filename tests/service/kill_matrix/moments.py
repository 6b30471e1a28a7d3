"""Exact moments of a train job: each stops a process in it, so that the kill that follows cannot come late.

    run          the training process has logged steps, is not at the end, and writes no checkpoint
    checkpoint   the training process has begun a checkpoint's folder, and not put it in place
    publish      for API and training process: the bundle is whole, and the training process still there
                 for worker and PostgreSQL: the version's bundle is in place, and the transaction not committed

A process is stopped as soon as files show the moment, and looked at again: one that had gone on meanwhile is let go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from ctrfast.folders import MANIFEST
from ctrfast.run import CHECKPOINTS, RECEIPT
from ctrfast.store.objects import connect
from service.assignments import BUNDLE, RUN
from service.places import store_of
from service.states import FINAL, State
from tests.service.kill_matrix.fleet import Fleet

MOMENTS = ("submit", "run", "checkpoint", "publish")
_LOOK_S = 0.0003
_STEPS = 3  # records of the log


class MissedError(Exception):
    """The job has passed the moment."""


def hold(moment: str, target: str, fleet: Fleet, job_id: str, model: str) -> psutil.Process:
    """Wait for a moment of a job and stop the process that is in it. The caller lets it go on.

    Raises:
        MissedError: the job has passed the moment.
    """
    folder = fleet.settings.job_folder(job_id)
    if moment == "publish" and target in {"worker", "postgres"}:
        held, is_there = _worker, lambda: _is_in_place(fleet, model) and _runs(fleet, job_id)
    else:
        held = Fleet.runner
        is_there = {
            "run": lambda: _logs_steps(folder / RUN) and not _partial(folder / RUN / CHECKPOINTS),
            "checkpoint": lambda: _partial(folder / RUN / CHECKPOINTS),
            "publish": lambda: (folder / BUNDLE / MANIFEST).is_file(),
        }[moment]
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if _soon(is_there) and (process := held(fleet)) is not None:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
                while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                    time.sleep(_LOOK_S)
                if process.status() == psutil.STATUS_STOPPED and is_there():
                    return process
                process.resume()
        elif (job := fleet.job(job_id)) is not None and job.state in FINAL:
            raise MissedError(f"the job is {job.state}")
    raise TimeoutError(f"the moment {moment} did not come")


def _soon(is_there: Callable[[], bool]) -> bool:
    """Look very often for half a second."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if is_there():
            return True
        time.sleep(_LOOK_S)
    return False


def _is_in_place(fleet: Fleet, model: str) -> bool:
    store = store_of(fleet.settings)
    if store is None:
        return fleet.settings.model_folder("default", model, 1).is_dir()
    return any(name.endswith(f"/{MANIFEST}") for name in connect().sizes(store.bundles("default", model)))


def _worker(fleet: Fleet) -> psutil.Process:
    return psutil.Process(fleet.processes["worker"].pid)


def _runs(fleet: Fleet, job_id: str) -> bool:
    job = fleet.job(job_id)
    return job is not None and job.state == State.RUNNING


def _logs_steps(run: Path) -> bool:
    try:
        return (run / "metrics.jsonl").read_bytes().count(b"\n") >= _STEPS and not (run / RECEIPT).exists()
    except FileNotFoundError:
        return False


def _partial(checkpoints: Path) -> bool:
    try:
        return any(path.name.startswith(".partial-step") for path in checkpoints.iterdir())
    except FileNotFoundError:
        return False
