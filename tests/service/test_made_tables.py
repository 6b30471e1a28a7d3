"""The databases of the tests are what the migrations make, rows of theirs included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, select

from service.database import Database
from service.settings import Settings
from tests.service.made_tables import make_tables


def default_of(column: Column[Any]) -> str:
    return str(getattr(column.server_default, "arg", None))


def contents(database: Database) -> dict[str, Any]:
    """Columns, indexes and rows by table."""
    found = MetaData()
    found.reflect(database.engine)
    with database.engine.connect() as connection:
        return {
            name: (
                sorted((column.name, str(column.type), default_of(column)) for column in table.columns),
                sorted((str(index.name), str(index.columns.keys()), bool(index.unique)) for index in table.indexes),
                sorted(tuple(map(str, row)) for row in connection.execute(select(table))),
            )
            for name, table in found.tables.items()
        }


def test_a_copy_in_sqlite(tmp_path: Path) -> None:
    migrated, copied = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("migrated", "copied"))
    migrated.migrate()
    make_tables(f"sqlite:///{tmp_path / 'copied.db'}")
    with copied.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    made, wanted = contents(copied), contents(migrated)
    assert copied.unfit() is None
    for database in (migrated, copied):
        database.dispose()
    assert made == wanted
    assert "jobs" in made


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_copy_in_postgresql(settings: Settings, tmp_path: Path) -> None:
    database = Database(settings.url)
    assert database.unfit() is None
    copied = contents(database)
    database.migrate("base")
    database.migrate()
    wanted = contents(database)
    database.dispose()
    assert copied == wanted
