"""The job store's side for workers: claim a job, keep its lease, report, end it; and find jobs whose worker is gone.

A claim raises the job's `attempt`, which is the fencing token. Each later write names it and is refused once another
claim, a sweep or the end of the job has passed it: a worker that slept through its lease writes nothing.

Clocks: leases compare the hosts' own clocks, so hosts must agree to well within `lease_s`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database import Database
from service.events import METRIC, PROGRESS, append_event
from service.jobs import move
from service.projects import DEFAULT_PROJECT
from service.states import LEASED, Kind, Reason, State
from service.tables import Job

SWEEP_MARGIN_S = 1.0  # beyond the lease, for the message that tells a child to go on to arrive late


class LeaseLostError(Exception):
    """The job is no longer this worker's."""


@dataclass(frozen=True)
class Lease:
    """A claimed job. (job_id, attempt) is the fencing token."""

    job_id: str
    attempt: int
    kind: Kind
    spec: Mapping[str, Any]
    project: str = DEFAULT_PROJECT


@dataclass
class Report:
    """What a child said since the last write: the newest progress and every metric record."""

    progress: float | None = None
    eta_s: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.progress is None and not self.records


Deliver = Callable[[Session], Mapping[str, Any]]


class LeaseStore:
    """Jobs as workers see them."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    def claim(self, worker: str) -> Lease | None:
        """Take the oldest waiting job, or None."""
        oldest = (
            select(Job).where(Job.state == State.QUEUED).order_by(Job.id).limit(1).with_for_update(skip_locked=True)
        )
        with self._database.read() as session:  # an idle worker must not take SQLite's write lock at each look
            if session.scalar(select(Job.id).where(Job.state == State.QUEUED).limit(1)) is None:
                return None
        with self._database.write() as session:
            job = session.scalar(oldest)
            if job is None:
                return None
            now = time.time()
            job.attempt += 1
            job.attempts_left -= 1
            job.lease_owner, job.lease_until = worker, now + self._lease_s
            job.started_at = job.started_at or now
            job.progress, job.eta_s = 0.0, None
            move(session, job, State.RUNNING, worker=worker)
            return Lease(job.id, job.attempt, Kind(job.kind), dict(job.spec), job.project)

    def renew(self, lease: Lease, report: Report | None = None) -> State:
        """Extend the lease and write what the child reported.

        Returns: the job's state: `running`, or `cancelling` where somebody asked for an end.

        Raises:
            LeaseLostError: the job is not this worker's any more.
        """
        with self._database.write() as session:
            job = _locked(session, lease)
            job.lease_until = time.time() + self._lease_s
            if report is not None and not report.is_empty():
                _write_report(session, job, report)
            return State(job.state)

    def succeed(self, lease: Lease, metrics: Mapping[str, Any], deliver: Deliver) -> State:
        """End a job well. `deliver` puts its product in place inside the transaction and returns the job's result.

        A job that is being cancelled ends as cancelled, and delivers nothing.

        Raises:
            LeaseLostError: the job is not this worker's any more; nothing was delivered.
        """
        with self._database.write() as session:
            job = _locked(session, lease)
            if job.state == State.CANCELLING:
                return _end(session, job, State.CANCELLED)
            job.result = dict(deliver(session))
            job.metrics = {**job.metrics, **metrics}
            job.progress, job.eta_s = 1.0, 0.0
            return _end(session, job, State.SUCCEEDED)

    def fail(self, lease: Lease, reason: Reason, message: str) -> State:
        """End a job badly; one that is being cancelled ends as cancelled. Raises LeaseLostError."""
        with self._database.write() as session:
            job = _locked(session, lease)
            if job.state == State.CANCELLING:
                return _end(session, job, State.CANCELLED)
            return _fail(session, job, reason, message)

    def stopped(self, lease: Lease) -> State:
        """The child ended because it was told to: cancelled, or back to the queue when the worker shuts down."""
        with self._database.write() as session:
            job = _locked(session, lease)
            if job.state == State.CANCELLING:
                return _end(session, job, State.CANCELLED)
            job.attempts_left += 1  # the job is not to blame
            return _requeue(session, job, "The worker was shut down; the job waits for another.")

    def lost(self, lease: Lease, message: str) -> State:
        """The child died. The job waits for another try while it has one left. Raises LeaseLostError."""
        with self._database.write() as session:
            return _lose(session, _locked(session, lease), message)

    def sweep(self) -> int:
        """Take jobs away from workers whose lease ran out. Any process may do it at any time.

        Returns: how many jobs it moved.
        """
        limit = time.time() - SWEEP_MARGIN_S
        lapsed = select(Job).where(Job.state.in_(sorted(LEASED)), Job.lease_until < limit)
        with self._database.read() as session:
            if session.scalar(lapsed.with_only_columns(Job.id).limit(1)) is None:
                return 0
        with self._database.write() as session:
            jobs = session.scalars(lapsed.with_for_update(skip_locked=True)).all()
            for job in jobs:
                _lose(session, job, "The worker gave no sign of life until its lease ran out.")
            return len(jobs)


def _locked(session: Session, lease: Lease) -> Job:
    job = session.get(Job, lease.job_id, with_for_update=True)
    if job is None or job.attempt != lease.attempt or State(job.state) not in LEASED:
        raise LeaseLostError()
    return job


def _write_report(session: Session, job: Job, report: Report) -> None:
    job.metrics = {**job.metrics, **report.metrics}
    for record in report.records:
        append_event(session, job, METRIC, record)
    if report.progress is not None:
        job.progress, job.eta_s = report.progress, report.eta_s
        append_event(session, job, PROGRESS, {"progress": job.progress, "eta_s": job.eta_s, **report.facts})


def _release(job: Job) -> None:
    job.lease_owner = job.lease_until = None


def _end(session: Session, job: Job, state: State, **facts: Any) -> State:
    _release(job)
    job.finished_at, job.eta_s = time.time(), None
    move(session, job, state, **facts)
    return state


def _fail(session: Session, job: Job, reason: Reason, message: str) -> State:
    job.reason, job.message = reason, message
    return _end(session, job, State.FAILED, reason=reason, message=message)


def _requeue(session: Session, job: Job, message: str) -> State:
    _release(job)
    job.eta_s = None
    move(session, job, State.QUEUED, message=message)
    return State.QUEUED


def _lose(session: Session, job: Job, message: str) -> State:
    if job.state == State.CANCELLING:
        return _end(session, job, State.CANCELLED)
    if job.attempts_left > 0:
        return _requeue(session, job, message)
    return _fail(session, job, Reason.WORKER_LOST, message)
