"""Revisions that add to jobs, forward and back, with data in the tables, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from service.database import Database
from service.jobs import JobStore
from service.options import JobOptions, Webhook
from service.settings import Settings
from service.states import Kind
from service.tables import WebhookRow

pytestmark = pytest.mark.empty_database


@dataclass(frozen=True)
class Revision:
    """before: the one to start from. columns: new ones of jobs, with their values for old jobs. tables: new ones.

    use: makes jobs that have what is new; returns the one of them that is left when it is gone.
    """

    before: str
    columns: dict[str, Any]
    tables: set[str]
    use: Callable[[JobStore, Database], str]


def with_a_webhook(jobs: JobStore, database: Database) -> str:
    new = jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(webhook=Webhook(url="https://a.example"))).id
    with database.read() as session:
        assert [(row.job_id, row.seq) for row in session.scalars(select(WebhookRow))] == [(new, 1)]
    return new


def a_sweep(jobs: JobStore, _database: Database) -> str:
    parent = jobs.enqueue(Kind.SWEEP, {"base": {}, "grid": {"seed": [1]}}, children=[{"seed": 1}])
    (child,) = jobs.page(state=None, kind=None, limit=5, cursor=None, parent=parent.id).jobs
    return child.id


@pytest.mark.parametrize(
    "revision",
    [
        Revision("0003", {"log_events": 0, "webhook": None}, {"webhook_deliveries"}, with_a_webhook),
        Revision("0005", {"parent_id": None, "waits_for_children": False}, set(), a_sweep),
    ],
    ids=["events", "sweeps"],
)
def test_forward_and_back_with_jobs_in_the_tables(settings: Settings, revision: Revision) -> None:
    database = Database(settings.url)
    database.migrate(revision.before)
    assert database.unfit() is not None
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, kind, state, spec, owner, fingerprint, progress, metrics, result, attempt,"
            " attempts_left, last_seq, created_at)"
            """ VALUES ('j1', 'train', 'queued', '{"a": 1}', '', 'f', 0, '{}', '{}', 0, 2, 1, 5.0)"""
        )
        connection.exec_driver_sql("""INSERT INTO events VALUES ('j1', 1, 'state', '{"state": "queued"}', 5.0)""")
    database.migrate()
    assert database.unfit() is None
    jobs = JobStore(database, settings)
    old = jobs.get("j1")
    assert (old.spec, old.last_seq) == ({"a": 1}, 1)
    assert new_values(jobs, "j1", revision) == revision.columns
    jobs.cancel("j1")
    new = revision.use(jobs, database)
    assert new_values(jobs, new, revision) != revision.columns
    database.migrate(revision.before)
    assert not columns(database) & revision.columns.keys()
    assert not set(inspect(database.engine).get_table_names()) & revision.tables
    with database.engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(text("SELECT id, kind, state FROM jobs"))}
        events = {tuple(row) for row in connection.execute(text("SELECT job_id, seq FROM events"))}
    assert found == {("j1", "train", "cancelled"), (new, "train", "queued")}
    assert events == {("j1", 1), ("j1", 2), (new, 1)}
    database.migrate()
    assert columns(database) >= revision.columns.keys()
    assert new_values(jobs, new, revision) == revision.columns
    database.dispose()


def columns(database: Database) -> set[str]:
    return {column["name"] for column in inspect(database.engine).get_columns("jobs")}


def new_values(jobs: JobStore, job_id: str, revision: Revision) -> dict[str, Any]:
    job = jobs.get(job_id)
    return {name: getattr(job, name) for name in revision.columns}
