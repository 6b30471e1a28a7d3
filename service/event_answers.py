"""Answers of a job's records: its events and metric series."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel

from service.events import EventPage, ToldEvent
from service.times import iso_time


class EventPublic(BaseModel):
    """One event. type: `state`, `progress`, `metric`, `log` or `warning`; data: what it says."""

    seq: int
    at: str
    type: str
    data: dict[str, Any]

    @classmethod
    def of(cls, row: ToldEvent) -> Self:
        """An event as an answer."""
        return cls(seq=row.seq, at=iso_time(row.at), type=row.type, data=row.data)


class EventList(BaseModel):
    """Events, oldest first. `after` asks for the next ones; `finished`: none will follow."""

    events: list[EventPublic]
    after: int
    finished: bool

    @classmethod
    def of(cls, page: EventPage, after: int) -> Self:
        """A page as an answer; `after` is what was asked for."""
        newest = page.events[-1].seq if page.events else after
        return cls(events=[EventPublic.of(row) for row in page.events], after=newest, finished=page.finished)
