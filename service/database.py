"""Connections and transactions on SQLite or PostgreSQL, and the migrations.

A reader sees one state of all tables on SQLite. On PostgreSQL each of its statements sees what is committed then, as in
a transaction of PostgreSQL's usual isolation (READ COMMITTED), so it takes none: to begin and end one would double what
a short query costs. A writer takes `BEGIN IMMEDIATE` on SQLite, so that two of them queue up instead of failing in the
middle; on PostgreSQL writers lock the rows that they read (`with_for_update`).

    database = Database(settings.url)
    with database.write() as session:
        session.add(row)                # committed at the end of the block, rolled back if it raises
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.orm import Session

from service.lost_connections import replace_lost

HEAD = "0010"  # the newest revision under migrations/versions; a test compares
BUSY_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10  # a host that drops packets would hang a start for minutes
# libpq's: what was sent is acknowledged within so many ms, and an idle host is asked for a sign of life after 10 s.
_OPEN_CONNECTIONS = {
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_WRITES = "ctrfast_writes"
_MIGRATION_LOCK = 0x637472  # "ctr": any number that others are unlikely to lock on the same PostgreSQL
_QUEUE_LOCK = _MIGRATION_LOCK + 1


class Database:
    """An engine with two kinds of blocks: `read` and `write`."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(_with_timeout(make_url(url)), json_deserializer=from_json)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            _tune_sqlite(self.engine)
        else:
            _tune_postgresql(self.engine)
            replace_lost(self.engine)
        self._writer = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Session]:
        """For reading alone: what is changed in objects is not written."""
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that writes; it commits at the end of the block."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def lock_queue(self, session: Session) -> None:
        """Let one writer at a time count jobs and act on the count; on SQLite each writer is alone already."""
        if not self.is_sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _QUEUE_LOCK})

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to a revision, a newer or an older one. Several processes may call it at once."""
        from service.migrations import run  # alembic takes long to import, and the API never migrates

        with self._writer.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            run(connection, revision)

    def unfit(self) -> str | None:
        """None where the tables are those that this code was written for; else what is wrong, and the remedy."""
        with self.engine.connect() as connection:
            has_any = inspect(connection).has_table("alembic_version")
            found = connection.scalar(text("SELECT version_num FROM alembic_version")) if has_any else None
        if found == HEAD:
            return None
        problem = "no tables yet" if found is None else "other tables than this version needs"
        return f"The database has {problem}. Run `ctrfast-service migrate`."

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _with_timeout(url: URL) -> URL:
    """Limit how long PostgreSQL may say nothing, on new connections and open ones, where the URL does not itself."""
    if url.get_driver_name() != "psycopg":
        return url
    limits = {"connect_timeout": str(CONNECT_TIMEOUT_S), **_OPEN_CONNECTIONS}
    return url.update_query_dict({name: value for name, value in limits.items() if name not in url.query})


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own; `_on_begin` does
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a job that was acknowledged survives a power cut
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _tune_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True  # as above: the driver begins none

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES, False):
            connection.exec_driver_sql("BEGIN")
