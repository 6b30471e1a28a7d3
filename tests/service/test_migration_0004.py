"""The tables of events forward and back, with data in them, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select, text

from service.database import Database
from service.jobs import JobStore
from service.options import JobOptions, Webhook
from service.settings import Settings
from service.states import Kind
from service.tables import WebhookRow

pytestmark = pytest.mark.empty_database

BEFORE = "0003"
NEW_COLUMNS = {"log_events", "webhook"}


def columns(database: Database) -> set[str]:
    return {column["name"] for column in inspect(database.engine).get_columns("jobs")}


def test_forward_and_back_with_jobs_in_the_tables(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate(BEFORE)
    assert not database.is_current()
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
    assert (old.spec, old.log_events, old.webhook, old.last_seq) == ({"a": 1}, 0, None, 1)
    jobs.cancel("j1")
    webhook = Webhook(url="https://a.example")
    new = jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(webhook=webhook)).id
    with database.read() as session:
        assert [(row.job_id, row.seq) for row in session.scalars(select(WebhookRow))] == [(new, 1)]
    database.migrate(BEFORE)
    assert not columns(database) & NEW_COLUMNS
    assert "webhook_deliveries" not in inspect(database.engine).get_table_names()
    with database.engine.connect() as connection:
        found = {(row[0], row[1]) for row in connection.execute(text("SELECT id, state FROM jobs"))}
        events = {(row[0], row[1]) for row in connection.execute(text("SELECT job_id, seq FROM events"))}
    assert found == {("j1", "cancelled"), (new, "queued")}
    assert events == {("j1", 1), ("j1", 2), (new, 1)}
    database.migrate()
    assert columns(database) >= NEW_COLUMNS
    assert jobs.get(new).webhook is None
    database.dispose()
