"""The job store's side for workers: claim a job, keep its lease, report, end it; and find jobs whose worker is gone.

A claim raises the job's `attempt`, which is the fencing token. Each later write names it and is refused once another
claim, a sweep or the end of the job has passed it, or its lease has run out: a worker that slept through its lease
writes nothing.

Any end of an attempt that is no success is settled from the row alone: a wish to cancel goes first, then a failure that
no retry mends, the deadline, the wish to pause, another try.

Clocks: leases compare the hosts' own clocks, so hosts must agree to well within `lease_s`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from service import families
from service.database import Database
from service.events import LOG, METRIC, PROGRESS, WARNING, append_event, append_notes
from service.metric_summaries import write_due_summaries
from service.moves import move
from service.projects import DEFAULT_PROJECT
from service.pruned_runs import PRUNED
from service.settings import Settings
from service.states import IDLE, LEASED, RETRIED, Action, Kind, Reason, State
from service.tables import Job
from service.waiting import next_job

SWEEPS_PER_LEASE = 6  # of each process that looks after lapsed leases
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
    parent_id: str | None = None


@dataclass
class Report:
    """What a child said since the last write: the newest progress, every metric record, warnings and log lines."""

    progress: float | None = None
    eta_s: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.progress is None and not (self.records or self.warnings or self.lines)


Deliver = Callable[[Session], Mapping[str, Any]]


class LeaseStore:
    """Jobs as workers see them. `clock`: seconds since 1970."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    def claim(self, worker: str) -> Lease | None:
        """Take the first job of the queue that may run now, or None."""
        most = self._settings.max_running_per_key
        query = next_job(self._clock(), most)
        with self._database.read() as session:  # an idle worker must not take SQLite's write lock at each look
            if session.scalar(query.with_only_columns(Job.id)) is None:
                return None
        with self._database.write() as session:
            if most is not None:
                self._database.lock_queue(session)
            job = session.scalar(query.with_for_update(skip_locked=True))
            if job is None:
                return None
            now = self._clock()
            job.attempt += 1
            job.attempts_left -= 1
            job.lease_owner, job.lease_until = worker, now + self._settings.lease_s
            job.started_at = job.started_at or now
            job.progress, job.eta_s = 0.0, None
            move(session, job, Action.CLAIM, now, worker=worker)
            return Lease(job.id, job.attempt, Kind(job.kind), dict(job.spec), job.project, job.parent_id)

    def renew(self, lease: Lease, report: Report | None = None) -> bool:
        """Extend the lease and write what the child reported.

        Returns: whether the child must stop: somebody asked to cancel or pause the job, or its deadline has passed.

        Raises:
            LeaseLostError: the job is not this worker's any more.
        """
        with self._database.write() as session:
            job, now = self._locked(session, lease)
            job.lease_until = now + self._settings.lease_s
            if report is not None and not report.is_empty():
                _write_report(session, job, report, self._settings.max_log_events)
            return job.state == State.CANCELLING or job.pausing or _is_overdue(job, now)

    def succeed(self, lease: Lease, metrics: Mapping[str, Any], deliver: Deliver) -> State:
        """End a job well. `deliver` puts its product in place inside the transaction and returns the job's result.

        A job that is being cancelled ends as cancelled, one beyond its deadline as failed; they deliver nothing.

        Raises:
            LeaseLostError: the job is not this worker's any more; nothing was delivered.
        """
        with self._database.write() as session:
            job, now = self._locked(session, lease)
            if (ended := _end_unwanted(session, job, now)) is not None:
                return ended
            job.result = dict(deliver(session))
            job.metrics = {**job.metrics, **metrics}
            job.progress = 1.0
            return move(session, job, Action.SUCCEED, now)

    def fail(self, lease: Lease, reason: Reason, message: str) -> State:
        """The attempt went wrong. The job waits for another while it has one left and a retry can mend the reason.

        Raises:
            LeaseLostError: the job is not this worker's any more.
        """
        with self._database.write() as session:
            job, now = self._locked(session, lease)
            return self._settle(session, job, now, reason, message)

    def stopped(self, lease: Lease, message: str = "The worker stopped it; the job waits for another.") -> State:
        """The attempt ended through no fault of the job's, which costs it none. Raises LeaseLostError.

        Args:
            lease: of the attempt.
            message: why it goes back into the queue.
        """
        with self._database.write() as session:
            job, now = self._locked(session, lease)
            if (ended := _end_unwanted(session, job, now)) is not None:
                return ended
            job.attempts_left += 1
            if job.pausing:
                return move(session, job, Action.PAUSE, now)
            return move(session, job, Action.REQUEUE, now, message=message)

    def prune(self, lease: Lease, message: str) -> State:
        """End a run of a sweep that is hopeless: as cancelled, with a result that says so. Raises LeaseLostError."""
        with self._database.write() as session:
            job, now = self._locked(session, lease)
            if _is_overdue(job, now):
                return _fail_overdue(session, job, now)
            if job.state != State.CANCELLING:
                job.message, job.result = message, {PRUNED: True}
                move(session, job, Action.CANCEL, now, message=message)
            return move(session, job, Action.STOP, now)

    def sweep(self) -> int:
        """Take jobs away from workers whose lease ran out, end idle ones beyond their deadline, and look after sweeps.

        Any process may do it at any time.

        Returns: how many jobs it moved, sweeps not counted.
        """
        now = self._clock()
        lapsed = and_(Job.state.in_(sorted(LEASED)), Job.lease_until < now - SWEEP_MARGIN_S)
        overdue = and_(Job.state.in_(sorted(IDLE)), Job.deadline_at <= now, ~Job.waits_for_children)
        due = select(Job).where(or_(lapsed, overdue))
        with self._database.read() as session:
            found = session.scalar(due.with_only_columns(Job.id).limit(1))
        moved = 0 if found is None else self._take_away(due, now)
        with self._database.read() as session:
            sweeps = families.sweeps_to_settle(session)
        for sweep_id in sweeps:
            self.settle(sweep_id)
        return moved

    def settle(self, sweep_id: str) -> None:
        """Bring a sweep to where its children are."""
        with self._database.write() as session:
            sweep = session.get(Job, sweep_id, with_for_update=True)
            if sweep is not None:
                families.settle(session, sweep, self._clock())

    def _take_away(self, due: Select[Job], now: float) -> int:
        with self._database.write() as session:
            jobs = session.scalars(due.with_for_update(skip_locked=True)).all()
            for job in jobs:
                if State(job.state) in IDLE:
                    _fail_overdue(session, job, now)
                else:
                    message = "The worker gave no sign of life until its lease ran out."
                    self._settle(session, job, now, Reason.WORKER_LOST, message)
            return len(jobs)

    def _locked(self, session: Session, lease: Lease) -> tuple[Job, float]:
        """The leased job, held for writing, and the time; it is read after the wait for the lock."""
        job = session.get(Job, lease.job_id, with_for_update=True)
        now = self._clock()
        if job is None or job.attempt != lease.attempt or job.lease_until is None or job.lease_until < now:
            raise LeaseLostError()
        return job, now

    def _settle(self, session: Session, job: Job, now: float, reason: Reason, message: str) -> State:
        if job.state == State.CANCELLING:
            return move(session, job, Action.STOP, now)
        if reason not in RETRIED:
            return _fail(session, job, now, reason, message)
        if _is_overdue(job, now):
            return _fail_overdue(session, job, now)
        if job.attempts_left <= 0:
            return _fail(session, job, now, reason, message)
        if job.pausing:
            return move(session, job, Action.PAUSE, now, reason=reason, message=message)
        failures = max(self._settings.max_attempts - job.attempts_left, 1)
        wait_s = min(self._settings.retry_first_s * 2 ** (failures - 1), self._settings.retry_most_s)
        job.not_before = now + wait_s
        return move(session, job, Action.REQUEUE, now, reason=reason, message=message, wait_s=wait_s)


def _write_report(session: Session, job: Job, report: Report, most_notes: int) -> None:
    before = job.last_seq
    append_notes(session, job, WARNING, report.warnings, most_notes)
    append_notes(session, job, LOG, report.lines, most_notes)
    job.metrics = {**job.metrics, **report.metrics}
    for record in report.records:
        append_event(session, job, METRIC, record)
    if report.progress is not None:
        job.progress, job.eta_s = report.progress, report.eta_s
        append_event(session, job, PROGRESS, {"progress": job.progress, "eta_s": job.eta_s, **report.facts})
    if report.records:
        write_due_summaries(session, job, before)


def _is_overdue(job: Job, now: float) -> bool:
    return job.deadline_at is not None and job.deadline_at <= now


def _end_unwanted(session: Session, job: Job, now: float) -> State | None:
    """End a job that is being cancelled, or is beyond its deadline; None of any other."""
    if job.state == State.CANCELLING:
        return move(session, job, Action.STOP, now)
    return _fail_overdue(session, job, now) if _is_overdue(job, now) else None


def _fail(session: Session, job: Job, now: float, reason: Reason, message: str) -> State:
    job.reason, job.message = reason, message
    return move(session, job, Action.FAIL, now, reason=reason, message=message)


def _fail_overdue(session: Session, job: Job, now: float) -> State:
    message = (
        f"The job had not ended {job.deadline_s:g} seconds after it was submitted. Give it more with `deadline_s`."
    )
    return _fail(session, job, now, Reason.DEADLINE, message)
