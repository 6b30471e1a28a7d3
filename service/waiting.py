"""The queue: which job is next, where a job stands, and how many wait.

Order: higher priority first, then older. A job that waits out a back-off, is past its deadline, or whose owner has as
many running as allowed is passed by the next one. A sweep that waits for its children is not in the queue.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased

from service.states import LEASED, State
from service.tables import Job

_ORDER = (Job.priority.desc(), Job.id)
_WAITING = (Job.state == State.QUEUED, ~Job.waits_for_children)


def next_job(now: float, most_per_owner: int | None) -> Select[Job]:
    """A query for the job to run next.

    Args:
        now: seconds since 1970.
        most_per_owner: jobs of one owner that may run at once.
    """
    query = select(Job).where(
        *_WAITING,
        Job.not_before <= now,
        or_(Job.deadline_at.is_(None), Job.deadline_at > now),
    )
    if most_per_owner is not None:
        busy = (
            select(Job.owner)
            .where(Job.state.in_(sorted(LEASED)), ~Job.waits_for_children)
            .group_by(Job.owner)
            .having(func.count() >= most_per_owner)
        )
        query = query.where(Job.owner.not_in(busy))
    return query.order_by(*_ORDER).limit(1)


def queue_positions(session: Session, ids: Collection[str]) -> dict[str, int]:
    """The places of waiting jobs, from 1; a job that does not wait has none."""
    if len(ids) == 1:
        (job_id,) = ids
        place = session.connection().execute(_PLACE, {"job_id": job_id}).scalar()
        return {} if place is None else {job_id: place}
    rows = session.connection().execute(_PLACES, {"ids": sorted(ids)}).all()
    return {job_id: position for job_id, position in rows}  # noqa: C416 - rows are no pairs for the type checker


def _places() -> Select[Any]:
    """The places of jobs of `ids`, by numbering all that wait."""
    place = func.row_number().over(order_by=_ORDER).label("place")
    queue = select(Job.id, place).where(*_WAITING).subquery()
    return select(queue.c.id, queue.c.place).where(queue.c.id.in_(bindparam("ids", expanding=True)))


def _place() -> Select[Any]:
    """The place of one job: counting those before it, by two stretches of an index, is faster than numbering all."""
    job = aliased(Job)
    queued = select(func.count()).where(*_WAITING)
    higher = queued.where(Job.priority > job.priority).scalar_subquery()
    older = queued.where(Job.priority == job.priority, Job.id < job.id).scalar_subquery()
    found = (job.id == bindparam("job_id"), job.state == State.QUEUED, ~job.waits_for_children)
    return select(higher + older + 1).select_from(job).where(*found)


# Made once: to make one takes several times as long as to ask it, and pages ask again and again.
_PLACE, _PLACES = _place(), _places()


def count_queued(session: Session) -> int:
    """How many jobs wait for a worker."""
    return session.scalar(select(func.count()).where(*_WAITING)) or 0
