"""The end of old events: those of jobs that ended long ago, a few at a time, the oldest of each job first.

A job that has ended keeps its row and `last_seq`, so its numbers go on where they were should it be retried.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import delete, exists, func, select

from service.database import Database
from service.selections import unindexed
from service.states import FINAL
from service.tables import Event, Job, MetricSummary

_DAY_S = 86_400.0
_BATCH = 1000  # other writers wait no longer than for one batch


def remove_old_events(
    database: Database, days: int | None, batch: int = _BATCH, clock: Callable[[], float] = time.time
) -> int:
    """Remove the events of jobs that ended more than so many days ago; None keeps them.

    Returns: how many were removed.
    """
    if days is None:
        return 0
    ended = (unindexed(Job.state).in_(sorted(FINAL)), Job.finished_at < clock() - days * _DAY_S)
    removed, place = 0, ""  # jobs are walked through once, by id, and not from the start for each batch
    while True:
        next_due = select(Job.id).where(*ended, Job.id >= place, exists().where(Event.job_id == Job.id))
        with database.read() as session:
            job_id = session.scalar(next_due.order_by(Job.id).limit(1))
        if job_id is None:
            return removed
        place = job_id
        with database.write() as session:
            if session.scalar(select(Job.id).where(Job.id == job_id, *ended).with_for_update()) is None:
                continue  # retried meanwhile
            first = session.scalar(select(func.min(Event.seq)).where(Event.job_id == job_id)) or 0
            due = (Event.job_id == job_id, Event.seq < first + batch)
            removed += session.scalar(select(func.count()).where(*due)) or 0
            session.execute(delete(Event).where(*due))
            session.execute(
                delete(MetricSummary).where(MetricSummary.job_id == job_id, MetricSummary.first_seq < first + batch)
            )
