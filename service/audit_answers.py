"""Answers of the audit log's route."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel

from service.tables import AuditRow
from service.times import iso_time


class DeedPublic(BaseModel):
    """One act. caller: the key's id; empty for a local caller without one and on the command line (method `CLI`)."""

    at: str
    caller: str
    method: str
    route: str
    target: str
    status: int
    request_id: str

    @classmethod
    def of(cls, row: AuditRow) -> Self:
        """A row as an answer."""
        return cls(
            at=iso_time(row.at),
            caller=row.caller,
            method=row.method,
            route=row.route,
            target=row.target,
            status=row.status,
            request_id=row.request_id,
        )


class AuditPublic(BaseModel):
    """A page of acts, newest first. `next_cursor` asks for the next one; None at the end."""

    entries: list[DeedPublic]
    next_cursor: int | None
