"""The columns of sweeps forward and back, with data in them, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from service.database import Database
from service.jobs import JobStore
from service.settings import Settings
from service.states import Kind

pytestmark = pytest.mark.empty_database

BEFORE = "0005"
NEW_COLUMNS = {"parent_id", "waits_for_children"}


def columns(database: Database) -> set[str]:
    return {column["name"] for column in inspect(database.engine).get_columns("jobs")}


def test_forward_and_back_with_jobs_in_the_tables(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate(BEFORE)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, kind, state, spec, owner, fingerprint, progress, metrics, result, attempt,"
            " attempts_left, last_seq, created_at)"
            """ VALUES ('j1', 'train', 'queued', '{"a": 1}', '', 'f', 0, '{}', '{}', 0, 2, 1, 5.0)"""
        )
        connection.exec_driver_sql("""INSERT INTO events VALUES ('j1', 1, 'state', '{"state": "queued"}', 5.0)""")
    database.migrate()
    assert database.is_current()
    jobs = JobStore(database, settings)
    old = jobs.get("j1")
    assert (old.parent_id, old.waits_for_children) == (None, False)
    parent = jobs.enqueue(Kind.SWEEP, {"base": {}, "grid": {"seed": [1]}}, children=[{"seed": 1}])
    (child,) = jobs.page(state=None, kind=None, limit=5, cursor=None, parent=parent.id).jobs
    database.migrate(BEFORE)
    assert not columns(database) & NEW_COLUMNS
    with database.engine.connect() as connection:
        found = {(row[0], row[1]) for row in connection.execute(text("SELECT id, kind FROM jobs"))}
        events = {row[0] for row in connection.execute(text("SELECT job_id FROM events"))}
    assert found == {("j1", "train"), (child.id, "train")}
    assert events == {"j1", child.id}
    database.migrate()
    assert columns(database) >= NEW_COLUMNS
    assert jobs.get(child.id).parent_id is None
    database.dispose()
