"""Figures of the queue, the running jobs and the workers, over all projects, as one look at the database gives them.

Those of running jobs are the newest that their training told (`Job.metrics`). They are put together by kind: a label
for each job would have no bound.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from ctrfast.errors import ConfigError
from service.database import Database
from service.jobs import JobStore
from service.specs import parse_train_spec
from service.states import Kind, State
from service.tables import Event, Job
from service.worker_roll import WorkerRoll

IDLE = "idle"


@dataclass(frozen=True)
class Figures:
    """What `/metrics` tells besides the counts of its own process.

    jobs: by state. queue_age_s: for how long the job that has waited longest could have run; one that waits out a
    back-off could not. step_s, input_wait_share: means over running jobs, by kind. rows_per_s: their sum, by kind.
    workers, rss_bytes: living ones and their memory, by the kind of job at work or `idle`.
    """

    jobs: Mapping[str, int]
    queue_age_s: float
    step_s: Mapping[str, float]
    rows_per_s: Mapping[str, float]
    input_wait_share: Mapping[str, float]
    workers: Mapping[str, int]
    rss_bytes: Mapping[str, int]


class FigureStore:
    """Reads the figures.

    Args:
        database: of the service.
        jobs: of any project.
        roll: of the workers.
        alive_s: for how long a worker counts as living after it signed.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        roll: WorkerRoll,
        alive_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._roll = roll
        self._alive_s = alive_s
        self._clock = clock

    def read(self) -> Figures:
        """The figures of now. Raises SQLAlchemyError."""
        told: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        with self._database.read() as session:
            queue_age_s = _queue_age_s(session, self._clock())
            for job in session.scalars(select(Job).where(Job.state == State.RUNNING)):
                for name, value in _speed(job).items():
                    told[name][job.kind].append(value)
        workers: dict[str, int] = defaultdict(int)
        rss_bytes: dict[str, int] = defaultdict(int)
        for row in self._roll.present(self._alive_s):
            workers[row.kind or IDLE] += 1
            rss_bytes[row.kind or IDLE] += row.rss_bytes
        return Figures(
            jobs=self._jobs.counts(),
            queue_age_s=queue_age_s,
            step_s={kind: fmean(values) for kind, values in told["step_s"].items()},
            rows_per_s={kind: sum(values) for kind, values in told["rows_per_s"].items()},
            input_wait_share={kind: fmean(values) for kind, values in told["input_wait_share"].items()},
            workers=workers,
            rss_bytes=rss_bytes,
        )


def _speed(job: Job) -> dict[str, float]:
    """What a job has told of its speed, by name; a record tells rows, and a step is a batch of them."""
    told = {name: job.metrics.get(name) for name in ("rows_per_s", "input_wait_share")}
    known = {name: float(value) for name, value in told.items() if value is not None}
    if known.get("rows_per_s") and (batch_size := _batch_size(job)) is not None:
        known["step_s"] = batch_size / known["rows_per_s"]
    return known


def _batch_size(job: Job) -> int | None:
    if job.kind != Kind.TRAIN:
        return None
    try:
        return parse_train_spec(job.spec).config.batch_size
    except ConfigError:  # the settings of another version
        return None


def _queue_age_s(session: Session, now: float) -> float:
    """A waiting job's newest event is the one that put it into the queue."""
    since = case((Job.not_before > Event.at, Job.not_before), else_=Event.at)
    newest = (Event.job_id == Job.id) & (Event.seq == Job.last_seq)
    query = select(func.min(since)).select_from(Job).join(Event, newest)
    oldest = session.scalar(query.where(Job.state == State.QUEUED, ~Job.waits_for_children, Job.not_before <= now))
    return 0.0 if oldest is None else max(0.0, now - oldest)
