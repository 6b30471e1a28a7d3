"""The access migration forward and back, with data in every table, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from sqlalchemy import select, text

from service.access import ALL_RIGHTS
from service.audit import AuditLog
from service.database import Database
from service.datasets import DatasetStore
from service.jobs import JobStore
from service.keys import KeyStore
from service.migrations import config_for
from service.registry import Registry
from service.settings import Settings
from service.states import Kind
from service.tables import AliasRow, ModelRow, VersionRow

pytestmark = pytest.mark.empty_database

BEFORE = "0002"
ROWS = (
    "INSERT INTO jobs (id, kind, state, spec, owner, fingerprint, progress, metrics, result, attempt, attempts_left,"
    """ last_seq, created_at) VALUES ('j1', 'train', 'queued', '{"a": 1}', '', 'f', 0, '{}', '{}', 0, 2, 1, 5.0)""",
    """INSERT INTO events VALUES ('j1', 1, 'state', '{"state": "queued"}', 5.0)""",
    """INSERT INTO datasets VALUES ('d', '/x', 'h', 'criteo', '{"train": 3}', '{"train": 0.5}', 7, 'j1', 5.0)""",
    "INSERT INTO models VALUES ('m', 2, 5.0)",
    """INSERT INTO model_versions VALUES ('m', 1, 's1', '{"auc": 0.5}', 'j1', 5.0)""",
    """INSERT INTO model_versions VALUES ('m', 2, 's2', '{"auc": 0.6}', NULL, 6.0)""",
    "INSERT INTO aliases VALUES ('m', 'latest', 2, 6.0)",
)
TABLES = ("jobs", "events", "datasets", "models", "model_versions", "aliases")


@pytest.fixture
def database(settings: Settings) -> Any:
    database = Database(settings.url)
    database.migrate(BEFORE)
    with database.engine.begin() as connection:
        for statement in ROWS:
            connection.exec_driver_sql(statement)
        connection.execute(text("INSERT INTO api_keys VALUES ('k1', 'old', 'hash', 5.0)"))
    yield database
    database.dispose()


def content(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows of the older tables, sorted."""
    with database.engine.connect() as connection:
        found = {
            table: [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]
            for table in (*TABLES, "api_keys")
        }
    return {table: sorted(rows, key=repr) for table, rows in found.items()}


def go_back(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(config_for(connection), BEFORE)


def test_what_was_there_is_the_default_projects(database: Database, settings: Settings) -> None:
    database.migrate()
    registry = Registry(database, settings)
    model = registry.get("m")
    assert [(row.version, row.sha256, row.metrics) for row in model.versions] == [
        (1, "s1", {"auc": 0.5}),
        (2, "s2", {"auc": 0.6}),
    ]
    assert model.aliases == {"latest": 2}
    row = DatasetStore(database).get("d")
    assert (row.rows, row.label_rate, row.job_id) == ({"train": 3}, {"train": 0.5}, "j1")
    jobs = JobStore(database, settings)
    assert jobs.get("j1").spec == {"a": 1}
    assert [event.data for event in jobs.events("j1", 0).events] == [{"state": "queued"}]
    (key,) = KeyStore(database).all()
    assert set(key.scopes.split()) == set(ALL_RIGHTS)
    assert (key.project, key.expires_at, key.revoked_at) == ("default", None, None)
    assert registry.of("other").names() == []
    with database.write() as session:
        session.delete(session.get_one(ModelRow, ("default", "m")))
    with database.read() as session:  # the new foreign keys hold
        assert session.scalars(select(VersionRow)).all() == []
        assert session.scalars(select(AliasRow)).all() == []


def test_back_and_forth(database: Database) -> None:
    before = content(database)
    database.migrate()
    go_back(database)
    assert content(database) == before
    database.migrate()
    assert database.unfit() is None


def test_going_back_gives_nobody_more_than_before(database: Database, settings: Settings) -> None:
    before = content(database)
    database.migrate()
    keys = KeyStore(database)
    keys.create("limited")
    keys.create("elsewhere", rights=ALL_RIGHTS, project="other")
    keys.create("short", rights=ALL_RIGHTS, expires_at=9e9)
    keys.revoke(keys.create("revoked", rights=ALL_RIGHTS).partition(".")[0])
    JobStore(database, settings).of("other").enqueue(Kind.TRAIN, {})
    with database.write() as session:
        session.add(ModelRow(project="other", name="m", last_version=0, created_at=0.0))
    assert len(AuditLog(database, "other").page(10, None).rows) == 1
    go_back(database)
    assert content(database) == before
