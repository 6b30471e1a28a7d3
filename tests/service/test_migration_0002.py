"""Jobs of the first tables live on under the second ones, and back, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import inspect, text

from service.database import HEAD, Database
from service.events import EventPage
from service.jobs import JobStore
from service.options import JobOptions
from service.settings import Settings
from service.states import Kind

pytestmark = pytest.mark.empty_database

NEW_COLUMNS = {"priority", "deadline_s", "deadline_at", "not_before", "pausing", "labels"}


def columns(database: Database) -> set[str]:
    return {column["name"] for column in inspect(database.engine).get_columns("jobs")}


def insert_old_job(database: Database, job_id: str, state: str) -> None:
    job: dict[str, Any] = {
        "id": job_id, "kind": "train", "state": state, "spec": json.dumps({"dataset": "d"}), "owner": "o",
        "idempotency_key": job_id, "fingerprint": "f", "progress": 0.5, "metrics": json.dumps({"loss": 0.4}),
        "result": "{}", "attempt": 1, "attempts_left": 1, "last_seq": 1, "created_at": 5.0,
    }  # fmt: skip
    names = ", ".join(job)
    values = ", ".join(f":{name}" for name in job)
    with database.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({values})"), job)
        event = {"job": job_id, "data": json.dumps({"state": state})}
        connection.execute(
            text("INSERT INTO events (job_id, seq, type, data, at) VALUES (:job, 1, 'state', :data, 5.0)"), event
        )


def events(jobs: JobStore, job_id: str) -> list[dict[str, Any]]:
    page: EventPage = jobs.events(job_id, 0)
    return [event.data for event in page.events]


def test_forward_and_back_with_jobs_in_the_tables(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate("0001")
    assert database.unfit() is not None
    insert_old_job(database, "a1", "queued")
    insert_old_job(database, "a2", "succeeded")

    database.migrate()
    assert database.unfit() is None
    jobs = JobStore(database, settings)
    old = jobs.get("a1")
    assert (old.state, old.metrics, old.priority, old.labels) == ("queued", {"loss": 0.4}, 0, {})
    assert (old.not_before, old.pausing, old.deadline_at) == (0.0, False, None)
    assert events(jobs, "a1") == [{"state": "queued"}]
    assert jobs.positions([old]) == {"a1": 1}
    options = JobOptions(priority=3, deadline_s=60, labels={"team": "ads"})
    paused = jobs.enqueue(Kind.TRAIN, {"dataset": "d"}, options=options).id
    jobs.pause(paused)
    assert jobs.page(state=None, kind=None, labels={"team": "ads"}, limit=5, cursor=None).jobs[0].id == paused

    database.migrate("0001")
    assert not columns(database) & NEW_COLUMNS
    assert "job_labels" not in inspect(database.engine).get_table_names()
    with database.engine.connect() as connection:
        rows = connection.execute(text("SELECT id, state, finished_at FROM jobs ORDER BY id")).all()
    found = {job_id: (state, finished_at is not None) for job_id, state, finished_at in rows}
    assert found == {"a1": ("queued", False), "a2": ("succeeded", False), paused: ("cancelled", True)}

    database.migrate()  # and forward again
    assert columns(database) >= NEW_COLUMNS
    assert jobs.retry(paused).state == "queued"
    assert len(events(jobs, paused)) == 3
    database.dispose()


@pytest.mark.parametrize("revision", ["head", HEAD])
def test_the_same_revision_again_changes_nothing(settings: Settings, revision: str) -> None:
    database = Database(settings.url)
    database.migrate()
    insert_old_job(database, "a1", "queued")
    database.migrate(revision)
    assert database.unfit() is None
    assert JobStore(database, settings).get("a1").state == "queued"
    database.dispose()
