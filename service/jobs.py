"""The job store's side for callers: enqueue, list, look at, cancel, retry.

Every change of a job locks its row first, asks `states.require_move`, and writes an event in the same transaction.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.database import Database
from service.events import STATE, EventPage, append_event, read_events, read_metric_series
from service.problems import BadValueError, IdempotencyConflictError, IllegalStateError, NotFoundError
from service.projects import DEFAULT_PROJECT
from service.states import FINAL, IllegalMoveError, Kind, State, require_move
from service.tables import Job


@dataclass(frozen=True)
class JobPage:
    """Jobs, newest first; `next_cursor` continues the list."""

    jobs: Sequence[Job]
    next_cursor: str | None


def new_job_id() -> str:
    """An id that sorts by time: 12 hex digits of milliseconds, then 10 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"


def fingerprint(kind: str, spec: Mapping[str, Any]) -> str:
    """sha256 of a request's meaning: the order of keys does not matter.

    Raises:
        BadValueError: a value that no database can keep (NaN, infinity, NUL, half of a surrogate pair).
    """
    try:
        text = json.dumps([kind, spec], sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        encoded = text.encode()
    except (ValueError, RecursionError) as error:
        raise BadValueError("The body must hold finite numbers and valid text only.") from error
    if "\\u0000" in text.replace("\\\\", ""):  # an escaped backslash before u0000 is no NUL
        raise BadValueError("Text must not hold the character NUL.")
    return hashlib.sha256(encoded).hexdigest()


def move(session: Session, job: Job, wanted: State, **facts: Any) -> None:
    """Change a job's state and tell it in an event. The caller holds the job's row for writing.

    Raises:
        IllegalMoveError: the table of transitions has no such edge.
    """
    require_move(State(job.state), wanted)
    job.state = wanted
    append_event(session, job, STATE, {"state": wanted, "attempt": job.attempt, **facts})


class JobStore:
    """Jobs of one project, as callers see them: those of others do not exist here."""

    def __init__(self, database: Database, max_attempts: int, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._project = project

    def of(self, project: str) -> JobStore:
        """The jobs of another project."""
        return JobStore(self._database, self._max_attempts, project)

    def find_twin(self, kind: str, spec: Mapping[str, Any], owner: str, key: str | None) -> Job | None:
        """The job that this idempotency key made before.

        Raises:
            IdempotencyConflictError: it made one from another body.
        """
        print_ = fingerprint(kind, spec)
        if key is None:
            return None
        with self._database.read() as session:
            job = session.scalar(
                select(Job).where(Job.project == self._project, Job.owner == owner, Job.idempotency_key == key)
            )
        if job is not None and job.fingerprint != print_:
            raise IdempotencyConflictError()
        return job

    def enqueue(self, kind: Kind, spec: Mapping[str, Any], *, owner: str = "", key: str | None = None) -> Job:
        """Queue a job, or answer the one that the same key and body made.

        Raises:
            IdempotencyConflictError: the key belongs to another body.
        """
        job = Job(
            id=new_job_id(),
            kind=kind,
            state=State.QUEUED,
            spec=dict(spec),
            owner=owner,
            project=self._project,
            idempotency_key=key,
            fingerprint=fingerprint(kind, spec),
            attempts_left=self._max_attempts,
            attempt=0,
            last_seq=0,
            created_at=time.time(),
        )
        try:
            with self._database.write() as session:
                session.add(job)
                session.flush()
                append_event(session, job, STATE, {"state": State.QUEUED, "attempt": 0})
        except IntegrityError:
            twin = self.find_twin(kind, spec, owner, key)
            if twin is None:
                raise
            return twin
        return job

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFoundError."""
        with self._database.read() as session:
            job = session.get(Job, job_id)
        if job is None or job.project != self._project:
            raise NotFoundError("job", job_id)
        return job

    def is_preparing(self, name: str) -> bool:
        """Whether a job that has not ended will register a dataset of this name."""
        query = select(Job.id).where(
            Job.project == self._project,
            Job.kind == Kind.PREPARE,
            Job.state.not_in(sorted(FINAL)),
            Job.spec["name"].as_string() == name,
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def page(self, *, state: State | None, kind: Kind | None, limit: int, cursor: str | None) -> JobPage:
        """Jobs that match, newest first, a page at a time: filtered first, then cut."""
        query = select(Job).where(Job.project == self._project).order_by(Job.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(Job.state == state)
        if kind is not None:
            query = query.where(Job.kind == kind)
        if cursor is not None:
            query = query.where(Job.id < cursor)
        with self._database.read() as session:
            jobs = session.scalars(query).all()
        more = len(jobs) > limit
        return JobPage(jobs[:limit], next_cursor=jobs[limit - 1].id if more else None)

    def cancel(self, job_id: str) -> Job:
        """Stop a job: at once while it waits, with time to save while it runs.

        Raises:
            NotFoundError: there is no such job.
            IllegalStateError: it has ended already. Cancelling twice is no error.
        """
        with self._database.write() as session:
            job = self._lock(session, job_id)
            if job.state == State.CANCELLING:
                return job
            wanted = State.CANCELLED if job.state == State.QUEUED else State.CANCELLING
            _move_or_refuse(session, job, wanted)
            if wanted is State.CANCELLED:
                job.finished_at = time.time()
            return job

    def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last checkpoint where it has one.

        Raises:
            NotFoundError, IllegalStateError: there is no such job, or it has not ended or has succeeded.
        """
        with self._database.write() as session:
            job = self._lock(session, job_id)
            if job.state == State.RUNNING:  # the table's running -> queued is for lost workers alone
                raise IllegalStateError(State(job.state), State.QUEUED)
            _move_or_refuse(session, job, State.QUEUED)
            job.attempts_left = self._max_attempts
            job.progress, job.metrics = 0.0, {}
            job.reason = job.message = job.started_at = job.finished_at = job.eta_s = None
            return job

    def events(self, job_id: str, after: int) -> EventPage:
        """Events of a job after a sequence number."""
        with self._database.read() as session:
            return read_events(session, job_id, after)

    def metric_series(self, job_id: str) -> list[dict[str, Any]]:
        """All metric records of a job."""
        with self._database.read() as session:
            return read_metric_series(session, job_id)

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state, over all projects."""
        with self._database.read() as session:
            rows = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
        found = {state: count for state, count in rows}  # noqa: C416 - rows are no pairs for the type checker
        return {state.value: found.get(state.value, 0) for state in State}

    def _lock(self, session: Session, job_id: str) -> Job:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.project != self._project:
            raise NotFoundError("job", job_id)
        return job


def _move_or_refuse(session: Session, job: Job, wanted: State) -> None:
    try:
        move(session, job, wanted)
    except IllegalMoveError as error:
        raise IllegalStateError(error.current, error.wanted) from error
