"""What happened to a job, in order: written with the change itself, read by the event stream.

Types: `state` (every move), `progress` (the newest share done), `metric` (each record, none left out).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.states import FINAL, State
from service.tables import Event, Job

STATE, PROGRESS, METRIC = "state", "progress", "metric"


@dataclass(frozen=True)
class EventPage:
    """Events after a sequence number, and whether more can follow."""

    events: Sequence[Event]
    finished: bool


def append_event(session: Session, job: Job, kind: str, data: Mapping[str, Any]) -> None:
    """Add an event in the caller's transaction. The caller holds the job's row for writing."""
    job.last_seq += 1
    session.add(Event(job_id=job.id, seq=job.last_seq, type=kind, data=dict(data), at=time.time()))


def read_events(session: Session, job_id: str, after: int, limit: int = 500) -> EventPage:
    """The next events of a job, oldest first.

    The job is read before its events: an event that ends the job is then never missed by a reader that sees the end.
    """
    state, last_seq = session.execute(select(Job.state, Job.last_seq).where(Job.id == job_id)).one()
    query = select(Event).where(Event.job_id == job_id, Event.seq > after).order_by(Event.seq).limit(limit)
    events = session.scalars(query).all()
    newest = events[-1].seq if events else after
    return EventPage(events, finished=State(state) in FINAL and newest >= last_seq)


def read_metric_series(session: Session, job_id: str) -> list[dict[str, Any]]:
    """All metric records of a job, in order."""
    query = select(Event.data).where(Event.job_id == job_id, Event.type == METRIC).order_by(Event.seq)
    return list(session.scalars(query))
