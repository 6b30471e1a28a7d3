"""The job store's side for callers: enqueue, list, look at, pause, resume, cancel, retry.

Every change of a job locks its row first; `moves.move` asks the table and writes the event in the same transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import families, wishes
from service.database import Database
from service.events import (
    TRACEPARENT,
    EventPage,
    LogPage,
    Place,
    newest_events,
    read_events,
    read_log,
    read_log_tail,
    read_metric_series,
    read_news,
)
from service.fingerprints import fingerprint
from service.listed_jobs import JobPage, children_of, positions_of
from service.metric_summaries import read_thinned
from service.new_jobs import new_job, new_job_id, queue, runs_of_a_sweep
from service.options import NO_OPTIONS, JobOptions
from service.problems import (
    IdempotencyConflictError,
    IllegalStateError,
    NotFoundError,
    QueueFullError,
    SweepEndedError,
)
from service.projects import DEFAULT_PROJECT
from service.selections import page_of_jobs, unindexed
from service.settings import Settings
from service.states import FINAL, IDLE, LEASED, IllegalMoveError, Kind, State
from service.tables import Job, JobRow
from service.waiting import count_queued

log = logging.getLogger("service.jobs")

Wish = Callable[[Session, Job, float], None]

_TRY_AGAIN_S = 10
_MOST_TRAININGS = 2000  # that are looked through for one to take over


class JobStore:
    """Jobs of one project, as callers see them: those of others do not exist here. `clock`: seconds since 1970."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._project = project

    def of(self, project: str) -> JobStore:
        """The jobs of another project."""
        return JobStore(self._database, self._settings, self._clock, project)

    @property
    def project(self) -> str:
        """Whose jobs these are."""
        return self._project

    def find_twin(
        self,
        kind: str,
        spec: Mapping[str, Any],
        owner: str,
        key: str | None,
        options: JobOptions = NO_OPTIONS,
    ) -> Job | None:
        """The job that this idempotency key made before.

        Raises:
            IdempotencyConflictError: it made one from another body.
        """
        print_ = fingerprint(kind, spec, options)
        if key is None:
            return None
        with self._database.read() as session:
            job = session.scalar(
                select(Job).where(Job.project == self._project, Job.owner == owner, Job.idempotency_key == key)
            )
        if job is not None and job.fingerprint != print_:
            raise IdempotencyConflictError()
        return job

    def enqueue(
        self,
        kind: Kind,
        spec: Mapping[str, Any],
        *,
        owner: str = "",
        key: str | None = None,
        options: JobOptions = NO_OPTIONS,
        job_id: str | None = None,
        children: Sequence[Mapping[str, Any]] = (),
        traceparent: str | None = None,
    ) -> Job:
        """Queue a job, or answer the one that the same key and body made; `job_id` is for a new one alone.

        children: train specs of a sweep's runs, which are queued with it or not at all. traceparent: of the span that
        the attempts of all of them belong below (`service.traces`).

        Raises:
            IdempotencyConflictError: the key belongs to another body.
            QueueFullError: as many jobs wait as may.
        """
        job = new_job(
            job_id or new_job_id(),
            kind,
            spec,
            options,
            owner=owner,
            project=self._project,
            attempts=self._settings.max_attempts,
            now=self._clock(),
        )
        job.idempotency_key = key
        made = [job, *runs_of_a_sweep(job, children, job.created_at)]
        try:
            with self._database.write() as session:
                self._database.lock_queue(session)
                session.add(job)
                session.flush()  # a twin is found before a full queue is: it takes no further place
                if count_queued(session) + len(children) > self._settings.max_queued:
                    raise QueueFullError(self._settings.max_queued, _TRY_AGAIN_S)
                origin = {} if traceparent is None else {TRACEPARENT: traceparent}
                queue(session, made, **origin)
        except IntegrityError:
            twin = self.find_twin(kind, spec, owner, key, options)
            if twin is None:
                raise
            return twin
        log.info("job %s (%s) is queued", job.id, job.kind)
        return job

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFoundError."""
        with self._database.read() as session:
            return self._of_project(session.get(Job, job_id), job_id)

    def is_preparing(self, name: str) -> bool:
        """Whether a job that has not ended will register a dataset of this name."""
        query = select(Job.id).where(
            unindexed(Job.project) == self._project,
            unindexed(Job.kind) == Kind.PREPARE,
            Job.state.in_(sorted(IDLE | LEASED)),  # few, of any kind
            Job.spec["name"].as_string() == name,
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def page(
        self,
        *,
        state: State | None,
        kind: Kind | None,
        limit: int,
        cursor: str | None,
        labels: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> JobPage:
        """Jobs that match in everything given, newest first, a page at a time: filtered first, then cut."""
        query, values = page_of_jobs(self._project, state, kind, labels or {}, cursor, parent, limit + 1)
        with self._database.read() as session:
            found = session.connection().execute(query, values)
            names = tuple(found.keys())  # a row finds its values by name anew each time, and `Job`s take longer still
            jobs = [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in found.all()]
            cursor = jobs[limit - 1].id if len(jobs) > limit else None
            del jobs[limit:]
            return JobPage.of(session, jobs, cursor)

    def page_of(self, job_id: str) -> JobPage:
        """One job, as a page of its own. Raises NotFoundError."""
        with self._database.read() as session:
            job = self._of_project(session.get(Job, job_id), job_id)
            return JobPage.of(session, [job])

    def runs_of(self, sweep_id: str) -> Sequence[Job]:
        """The runs of a sweep, in the order of its points."""
        query = select(Job).where(Job.parent_id == sweep_id, Job.project == self._project).order_by(Job.id)
        with self._database.read() as session:
            return session.scalars(query).all()

    def trainings_on(self, dataset: str) -> Sequence[Job]:
        """Train jobs on a dataset that have succeeded, newest first."""
        query = select(Job).where(
            unindexed(Job.project) == self._project,
            Job.kind == Kind.TRAIN,
            unindexed(Job.state) == State.SUCCEEDED,
            Job.spec["dataset"].as_string() == dataset,
        )
        with self._database.read() as session:
            return session.scalars(query.order_by(Job.id.desc()).limit(_MOST_TRAININGS)).all()

    def cancel(self, job_id: str) -> Job:
        """Stop a job: at once while it waits, with time to save while it runs.

        Raises:
            NotFoundError: there is no such job.
            IllegalStateError: it has ended already. Cancelling twice is no error.
        """
        return self._ask(job_id, wishes.cancel, families.cancel)

    def pause(self, job_id: str) -> Job:
        """Keep a job from running: at once while it waits; a running one saves its work first.

        Raises:
            NotFoundError: there is no such job.
            IllegalStateError: it is paused already, being cancelled, or has ended. Asking a running one twice is none.
        """
        return self._ask(job_id, wishes.pause, families.pause)

    def resume(self, job_id: str) -> Job:
        """Queue a paused job; it goes on from its checkpoint. One that is still about to pause goes on too.

        Raises:
            NotFoundError, IllegalStateError: there is no such job, or nobody has paused it.
        """
        return self._ask(job_id, wishes.resume, families.resume)

    def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last checkpoint where it has one.

        Its deadline counts from now on: the old one may have passed.

        Raises:
            NotFoundError, IllegalStateError: there is no such job, or it has not ended or has succeeded.
            SweepEndedError: it is a run of a sweep that has ended.
        """
        with self._database.write() as session:
            parent = self._lock_parent(session, job_id)
            job = self._lock(session, job_id)
            if parent is not None and State(parent.state) in FINAL | {State.CANCELLING}:
                raise SweepEndedError(parent.id)
            ask = families.retry if job.kind == Kind.SWEEP else wishes.retry
            with _as_refusal():
                ask(session, job, self._clock(), self._settings.max_attempts)
            return job

    def events(self, job_id: str, after: int, limit: int = 500, types: Collection[str] | None = None) -> EventPage:
        """Events of a job after a sequence number, or those of some types alone. Raises EventsExpiredError."""
        with self._database.read() as session:
            return read_events(session, job_id, after, limit, types)

    def log(self, job_id: str, after: int, limit: int = 500) -> LogPage:
        """Log lines of a job that are events after a sequence number. Raises EventsExpiredError."""
        with self._database.read() as session:
            return read_log(session, job_id, after, limit)

    def log_tail(self, job_id: str, most: int, lines: int | None) -> int:
        """After which event the last log lines begin that fit into so many bytes, at most `lines`; 0 where all do."""
        with self._database.read() as session:
            return read_log_tail(session, job_id, most, lines)

    def metric_series(self, job_id: str, after: int = 0, limit: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """Metric records of a job after a sequence number, at most so many, and the event up to which they go.

        Raises:
            EventsExpiredError: records after that event were removed.
        """
        with self._database.read() as session:
            return read_metric_series(session, job_id, after, limit)

    def thinned_series(
        self, job_id: str, after: int, names: Container[str] | None, points: int
    ) -> tuple[list[dict[str, Any]], int]:
        """The same with at most so many values of each metric, or of some. Raises EventsExpiredError."""
        with self._database.read() as session:
            return read_thinned(session, job_id, after, names, points)

    def newest_events(self, job_ids: Collection[str]) -> dict[str, int]:
        """The number of the newest event of each of these jobs, of any project."""
        with self._database.read() as session:
            return newest_events(session, job_ids)

    def news(self, places: Collection[Place]) -> dict[Place, EventPage | None]:
        """Events after those of some places, in jobs of any project, that are not at the newest; None: ask `events`."""
        with self._database.read() as session:
            return read_news(session, places)

    def positions(self, jobs: Collection[JobRow]) -> dict[str, int]:
        """Places in the queue of those jobs that wait in it, from 1, by id."""
        with self._database.read() as session:
            return positions_of(session, jobs)

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state, over all projects."""
        with self._database.read() as session:
            rows = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
        found = {state: count for state, count in rows}  # noqa: C416 - rows are no pairs for the type checker
        return {state.value: found.get(state.value, 0) for state in State}

    def children(self, jobs: Collection[JobRow]) -> dict[str, dict[str, int]]:
        """Of those jobs that are sweeps, how many children are in each state that there is one in, by id."""
        with self._database.read() as session:
            return children_of(session, jobs)

    def _ask(self, job_id: str, of_one: Wish, of_family: Wish) -> Job:
        """Change a job as asked, a sweep with its children, and see to the sweep that a child belongs to."""
        with self._database.write() as session:
            parent = self._lock_parent(session, job_id)
            job = self._lock(session, job_id)
            now = self._clock()
            with _as_refusal():
                (of_family if job.waits_for_children else of_one)(session, job, now)
            if parent is not None:
                session.flush()
                families.settle(session, parent, now)
            return job

    def _lock_parent(self, session: Session, job_id: str) -> Job | None:
        """The sweep that a job belongs to; it is always locked before the job."""
        parent_id = session.scalar(select(Job.parent_id).where(Job.id == job_id, Job.project == self._project))
        return None if parent_id is None else session.get(Job, parent_id, with_for_update=True)

    def _lock(self, session: Session, job_id: str) -> Job:
        return self._of_project(session.get(Job, job_id, with_for_update=True), job_id)

    def _of_project(self, job: Job | None, job_id: str) -> Job:
        if job is None or job.project != self._project:
            raise NotFoundError("job", job_id)
        return job


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except IllegalMoveError as error:
        raise IllegalStateError(error.current, error.action) from error
