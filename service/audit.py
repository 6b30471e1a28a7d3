"""The audit log: who did what, when, and how it ended. One row for each request that may change something.

Refused ones of callers who are known are in it too; requests without a good key are not: anybody could fill it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.database import Database
from service.projects import DEFAULT_PROJECT
from service.tables import AuditRow

_DAY_S = 86_400.0
_MAX_TARGET = 255


@dataclass(frozen=True)
class Deed:
    """One act. caller: the key's id. route: the template. target: what was made or addressed."""

    caller: str
    project: str
    method: str
    route: str
    target: str
    status: int
    request_id: str

    @classmethod
    def on_the_command_line(cls, command: str, target: str, project: str) -> Self:
        """An act of whoever can start `ctrfast-service`."""
        return cls("", project, "CLI", command, target, 0, "")


@dataclass(frozen=True)
class AuditPage:
    """Rows, newest first; `next_cursor` continues the list."""

    rows: Sequence[AuditRow]
    next_cursor: int | None


def record(session: Session, deed: Deed) -> None:
    """Write an act in the caller's transaction."""
    session.add(
        AuditRow(
            at=time.time(),
            caller=deed.caller,
            project=deed.project,
            method=deed.method,
            route=deed.route,
            target=_printable(deed.target[:_MAX_TARGET]),
            status=deed.status,
            request_id=deed.request_id,
        )
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)  # no database keeps a NUL


class AuditLog:
    """The log of one project."""

    def __init__(self, database: Database, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self._project = project

    def of(self, project: str) -> AuditLog:
        """The log of another project."""
        return AuditLog(self._database, project)

    def write(self, deed: Deed) -> None:
        """Write an act."""
        with self._database.write() as session:
            record(session, deed)

    def page(self, limit: int, cursor: int | None) -> AuditPage:
        """Acts, newest first, a page at a time."""
        query = select(AuditRow).where(AuditRow.project == self._project).order_by(AuditRow.id.desc())
        if cursor is not None:
            query = query.where(AuditRow.id < cursor)
        with self._database.read() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
        return AuditPage(rows[:limit], next_cursor=rows[limit - 1].id if len(rows) > limit else None)

    def forget(self, days: int) -> None:
        """Remove what is older than so many days, of all projects."""
        with self._database.write() as session:
            session.execute(delete(AuditRow).where(AuditRow.at < time.time() - days * _DAY_S))
