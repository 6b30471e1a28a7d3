"""What happened to a job, in order: written with the change itself, read by the event stream.

Types: `state` (every move), `progress` (the newest share done), `metric` (each record, none left out), `log` (each line
of the job's log) and `warning`; of the last two together `CTRFAST_MAX_LOG_EVENTS` per job, and the log file has all.

Numbers count from 1 without gaps and are never given again. Old events leave from the front (`service.retention`), so
a number that is missing before the first one left was removed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select, union_all
from sqlalchemy.orm import Session

from service.problems import EventsExpiredError
from service.states import FINAL, State
from service.tables import Event, Job, WebhookRow

TYPES = STATE, PROGRESS, METRIC, LOG, WARNING = "state", "progress", "metric", "log", "warning"
TRACEPARENT = "traceparent"  # in the data of a first event
MOST_NEWS = 16  # events of one job that are read together with those of others
_LINES_AT_ONCE = 500
_TEXT_KEY = {LOG: "line", WARNING: "message"}


Place = tuple[str, int]  # a job, and the number of one of its events: where a reader stands


class ToldEvent(NamedTuple):
    """What readers are told of an event: columns of `service.tables.Event`, by their names there."""

    seq: int
    type: str
    data: dict[str, Any]
    at: float


_TOLD = (Event.seq, Event.type, Event.data, Event.at)


@dataclass(frozen=True)
class EventPage:
    """Events after a sequence number, that of the last one looked at, and whether more can follow."""

    events: Sequence[ToldEvent]
    newest: int
    finished: bool


@dataclass(frozen=True)
class LogPage:
    """Log lines; `newest` is the sequence number to go on from. finished: no more can follow."""

    lines: Sequence[str]
    newest: int
    finished: bool


def append_event(session: Session, job: Job, kind: str, data: Mapping[str, Any]) -> None:
    """Add an event in the caller's transaction, also for the job's webhook. The caller holds the job's row."""
    job.last_seq += 1
    now = time.time()
    session.add(Event(job_id=job.id, seq=job.last_seq, type=kind, data=dict(data), at=now))
    if job.webhook is not None and kind in job.webhook["events"]:
        session.flush()  # the delivery refers to the event
        session.add(WebhookRow(job_id=job.id, seq=job.last_seq, next_at=now))


def append_notes(session: Session, job: Job, kind: str, texts: Sequence[str], most: int) -> None:
    """Add log lines or warnings while the job has fewer than `most`; one more line tells where they end."""
    for text in texts:
        if job.log_events > most:
            return
        job.log_events += 1
        if job.log_events > most:
            kind = LOG
            text = f"The job has {most:,} log lines and warnings; further ones are in its log file alone."
        append_event(session, job, kind, {_TEXT_KEY[kind]: _storable(text)})


def _storable(text: str) -> str:
    """A text that PostgreSQL can keep: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def read_events(
    session: Session, job_id: str, after: int, limit: int = 500, types: Collection[str] | None = None
) -> EventPage:
    """The next events of a job, oldest first; of some types alone where they are given.

    The job is read before its events: an event that ends the job is then never missed by a reader that sees the end.
    Events that came between the two are left for the next reading, which sees the state that they made.

    Raises:
        EventsExpiredError: the next one was removed.
    """
    state, last_seq = session.execute(select(Job.state, Job.last_seq).where(Job.id == job_id)).one()
    query = select(*_TOLD).where(Event.job_id == job_id, Event.seq > after, Event.seq <= last_seq)
    most = limit
    if types is not None:  # the next one is read whatever its type: where it is missing, it was removed
        query = query.where(or_(Event.seq == after + 1, Event.type.in_(sorted(types))))
        most += 1
    found = [ToldEvent(*row) for row in session.execute(query.order_by(Event.seq).limit(most))]
    if after < last_seq and (not found or found[0].seq > after + 1):
        raise EventsExpiredError(_first_left(session, job_id, last_seq))
    events = [event for event in found if types is None or event.type in types][:limit]
    newest = events[-1].seq if len(events) == limit else max(after, last_seq)
    return EventPage(events, newest, finished=State(state) in FINAL and newest >= last_seq)


def read_log(session: Session, job_id: str, after: int, limit: int) -> LogPage:
    """The next log lines of a job. Raises EventsExpiredError."""
    state = session.execute(select(Job.state).where(Job.id == job_id)).scalar_one()
    query = select(Event.seq, Event.data).where(Event.job_id == job_id, Event.type == LOG, Event.seq > after)
    rows = session.execute(query.order_by(Event.seq).limit(limit)).all()
    require_kept(session, job_id, after)
    newest = rows[-1].seq if rows else after
    return LogPage([row.data["line"] for row in rows], newest, finished=State(state) in FINAL and len(rows) < limit)


def read_log_tail(session: Session, job_id: str, most: int, lines: int | None) -> int:
    """The event after which the last log lines begin that fit into so many bytes and are at most `lines`; 0: all do."""
    left = most
    for count, (seq, line) in enumerate(_log_backwards(session, job_id)):
        left -= len(line.encode(errors="replace")) + 1
        if left < 0 or count == lines:
            return seq
    return 0


def _log_backwards(session: Session, job_id: str) -> Iterator[tuple[int, str]]:
    """Numbers and lines of the log, the newest first, read as they are asked for."""
    query = select(Event.seq, Event.data).where(Event.job_id == job_id, Event.type == LOG)
    newest_first = query.order_by(Event.seq.desc()).limit(_LINES_AT_ONCE)
    rows = session.execute(newest_first).all()
    while rows:
        yield from ((row.seq, row.data["line"]) for row in rows)
        rows = session.execute(newest_first.where(Event.seq < rows[-1].seq)).all()


def read_metric_series(
    session: Session, job_id: str, after: int = 0, limit: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Metric records of a job, in order, and the event up to which they go. Raises EventsExpiredError.

    limit: at most so many of them; fewer than that are all. None: all.
    """
    newest = session.execute(select(Job.last_seq).where(Job.id == job_id)).scalar_one()
    query = select(Event.seq, Event.data).where(
        Event.job_id == job_id, Event.type == METRIC, Event.seq > after, Event.seq <= newest
    )
    rows = session.execute(query.order_by(Event.seq).limit(limit)).all()
    require_kept(session, job_id, after)
    return [row.data for row in rows], rows[-1].seq if rows and len(rows) == limit else newest


def read_news(session: Session, places: Collection[Place]) -> dict[Place, EventPage | None]:
    """What there is after those of some places that are not at their job's newest event: all of it in two queries.

    None is for `read_events`: there are more than `MOST_NEWS`, the next event was removed, or there is no such place.
    """
    ids = {job_id for job_id, _ in places}
    heads = select(Job.id, Job.state, Job.last_seq).where(Job.id.in_(sorted(ids)))
    jobs = {job_id: (State(state), last_seq) for job_id, state, last_seq in session.execute(heads)}
    news: dict[Place, EventPage | None] = {
        (job_id, after): None for job_id, after in places if job_id not in jobs or jobs[job_id][1] != after
    }
    near = [(job_id, after) for job_id, after in news if job_id in jobs and _is_near(after, jobs[job_id][1])]
    behind: dict[str, int] = {}
    for job_id, after in near:
        behind[job_id] = max(behind.get(job_id, 0), jobs[job_id][1] - after)
    found = _newest(session, behind)
    for job_id, after in near:
        state, last_seq = jobs[job_id]
        events = [event for event in found.get(job_id, ()) if after < event.seq <= last_seq]
        if events and events[0].seq == after + 1:
            newest = events[-1].seq
            news[job_id, after] = EventPage(events, newest, finished=state in FINAL and newest >= last_seq)
    return news


def _newest(session: Session, counts: Mapping[str, int]) -> dict[str, list[ToldEvent]]:
    """The newest events of some jobs, so many of each: a reader that lags has none read of other jobs than its own."""
    ids: dict[int, list[str]] = {}
    for job_id, count in counts.items():
        ids.setdefault(count, []).append(job_id)
    if not ids:
        return {}
    parts = [
        select(Event.job_id, *_TOLD)
        .join(Job, Job.id == Event.job_id)
        .where(Job.id.in_(sorted(of_count)), Event.seq > Job.last_seq - count)
        for count, of_count in sorted(ids.items())
    ]
    found: dict[str, list[ToldEvent]] = {}
    for job_id, *told in session.execute(union_all(*parts).order_by("job_id", "seq")):
        found.setdefault(job_id, []).append(ToldEvent(*told))
    return found


def _is_near(after: int, last_seq: int) -> bool:
    return 0 < last_seq - after <= MOST_NEWS


def newest_events(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """The number of the newest event of each job that there is."""
    rows = session.execute(select(Job.id, Job.last_seq).where(Job.id.in_(sorted(job_ids)))).all()
    return {job_id: last_seq for job_id, last_seq in rows}  # noqa: C416 - rows are no pairs for the type checker


def read_traceparent(session: Session, job_id: str) -> str | None:
    """The span that a job was submitted in; None where traces were off, or the event was removed."""
    data = session.scalar(select(Event.data).where(Event.job_id == job_id, Event.seq == 1))
    return None if data is None else data.get(TRACEPARENT)


def require_kept(session: Session, job_id: str, after: int) -> None:
    """Refuse where an event after this one was removed. Raises EventsExpiredError."""
    last_seq = session.execute(select(Job.last_seq).where(Job.id == job_id)).scalar_one()
    first = _first_left(session, job_id, last_seq)
    if first > after + 1:
        raise EventsExpiredError(first)


def _first_left(session: Session, job_id: str, last_seq: int) -> int:
    """The number of the first event that was not removed; that of the next one to come where all were."""
    return session.scalar(select(func.min(Event.seq)).where(Event.job_id == job_id)) or last_seq + 1
