"""Jobs with what their rows do not say: places in the queue, and how a sweep's runs are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy.orm import Session

from service.families import count_children
from service.states import Kind, State
from service.tables import JobRow
from service.waiting import queue_positions


@dataclass(frozen=True)
class JobPage:
    """Jobs, newest first; `next_cursor` continues the list. positions, children: see `positions_of`, `children_of`."""

    jobs: Sequence[JobRow]
    next_cursor: str | None
    positions: Mapping[str, int]
    children: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, session: Session, jobs: Sequence[JobRow], next_cursor: str | None = None) -> Self:
        """These jobs as a page."""
        return cls(jobs, next_cursor, positions_of(session, jobs), children_of(session, jobs))


def positions_of(session: Session, jobs: Collection[JobRow]) -> dict[str, int]:
    """Places in the queue of those jobs that wait in it, from 1, by id."""
    waiting = {job.id for job in jobs if job.state == State.QUEUED}
    return queue_positions(session, waiting) if waiting else {}


def children_of(session: Session, jobs: Collection[JobRow]) -> dict[str, dict[str, int]]:
    """Of those jobs that are sweeps, how many children are in each state that there is one in, by id."""
    sweeps = {job.id for job in jobs if job.kind == Kind.SWEEP}
    return count_children(session, sweeps) if sweeps else {}
