"""Which workers are there: each signs a few times per lease, working or idle, and signs out when it ends in order."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from sqlalchemy import delete, select

from service.database import Database
from service.states import Kind
from service.tables import WorkerRow

_FORGET_AFTER_S = 3600.0


def own_name() -> str:
    """The name that a worker in this process signs with: HOST:PID."""
    return f"{socket.gethostname()}:{os.getpid()}"


class WorkerRoll:
    """The roll in the database. `clock`: seconds since 1970; hosts must agree as they must for leases."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def sign(self, name: str, kind: Kind | None, rss_bytes: int) -> None:
        """Say that a worker is there, and which kind of job it runs."""
        now = self._clock()
        with self._database.write() as session:
            session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now - _FORGET_AFTER_S))
            session.merge(WorkerRow(name=name, kind=kind, rss_bytes=rss_bytes, seen_at=now))

    def sign_out(self, name: str) -> None:
        """Say that a worker ends."""
        with self._database.write() as session:
            session.execute(delete(WorkerRow).where(WorkerRow.name == name))

    def present(self, within_s: float) -> Sequence[WorkerRow]:
        """Workers that signed so many seconds ago or later, by name."""
        query = select(WorkerRow).where(WorkerRow.seen_at >= self._clock() - within_s).order_by(WorkerRow.name)
        with self._database.read() as session:
            return session.scalars(query).all()

    def present_here(self, within_s: float) -> Sequence[WorkerRow]:
        """Those of them that run on this host; each container is one."""
        host = socket.gethostname()
        return [row for row in self.present(within_s) if row.name.rpartition(":")[0] == host]
