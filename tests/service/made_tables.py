"""Databases with all tables, as copies of one that the migrations made: for each test anew these take long.

make_tables(settings.url)
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import psycopg

from service.database import Database


def make_tables(url: str) -> None:
    """Leave a database as `Database.migrate` does; one in SQLite that is not there yet is a copy."""
    database = Database(url)
    file = database.engine.url.database
    if database.is_sqlite and file is not None and not Path(file).exists():
        Path(file).write_bytes(_sqlite_file())
    else:
        database.migrate()
    database.dispose()


def copy_on(server: str, name: str) -> None:
    """Make a database of this name, with all tables, on a PostgreSQL server."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_template_on(server)}")


@cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all_tables.db"
        _migrate(f"sqlite:///{file}")
        return file.read_bytes()


@cache
def _template_on(server: str) -> str:
    name = "all_tables"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    _migrate(server.replace("/postgres?", f"/{name}?").replace("postgresql://", "postgresql+psycopg://", 1))
    return name


def _migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.dispose()
