"""Migrations make exactly the tables of the code, forward and back, on both databases; writers queue up."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, inspect, select, text

from service.database import HEAD, Database
from service.migrations import config_for
from service.settings import Settings
from service.tables import Base, ModelRow

pytestmark = pytest.mark.empty_database


def test_migrations_make_the_tables_of_the_code(settings: Settings) -> None:
    database = Database(settings.url)
    assert database.unfit() is not None
    database.migrate()
    assert database.unfit() is None
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.migrate()  # twice changes nothing
    database.migrate("base")
    assert set(inspect(database.engine).get_table_names()) == {"alembic_version"}
    database.dispose()


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(config_for(None)).get_current_head() == HEAD


def test_processes_may_migrate_at_once(settings: Settings) -> None:
    databases = [Database(settings.url) for _ in range(4)]
    threads = [threading.Thread(target=database.migrate) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(database.unfit() is None for database in databases)
    for database in databases:
        database.dispose()


def test_writers_wait_for_each_other(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate()
    with database.write() as session:
        session.add(ModelRow(name="m", last_version=0, created_at=0.0))

    def count_up() -> None:
        for _ in range(10):
            with database.write() as session:
                session.get_one(ModelRow, ("default", "m"), with_for_update=True).last_version += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(select(ModelRow.last_version)) == 40
    database.dispose()


def test_a_block_that_raises_leaves_nothing(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate()
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(ModelRow(name="m", last_version=0, created_at=0.0))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.get(ModelRow, ("default", "m")) is None
    database.dispose()


def test_a_reader_sees_one_state_on_sqlite_and_takes_no_transaction_on_postgresql(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate()
    count = select(func.count()).select_from(ModelRow)
    with database.read() as reader:
        assert reader.scalar(count) == 0
        with database.write() as writer:
            writer.add(ModelRow(name="m", last_version=0, created_at=0.0))
        assert reader.scalar(count) == (0 if database.is_sqlite else 1)
        if not database.is_sqlite:  # `now()` is the begin of the transaction
            assert reader.scalar(text("SELECT now() = statement_timestamp()"))
    with database.write() as writer:
        writer.scalar(count)
        if not database.is_sqlite:
            assert not writer.scalar(text("SELECT now() = statement_timestamp()"))
    database.dispose()


def test_what_a_reader_changes_in_an_object_is_not_written(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate()
    with database.write() as session:
        session.add(ModelRow(name="m", last_version=0, created_at=0.0))
    with database.read() as session:
        session.get_one(ModelRow, ("default", "m")).last_version = 7
        assert session.scalar(select(ModelRow.last_version)) == 0
    with database.read() as session:
        assert session.scalar(select(ModelRow.last_version)) == 0
    database.dispose()


def test_sqlite_is_tuned(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL: a commit is on the disk
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
    database.dispose()
