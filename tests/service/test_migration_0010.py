"""The indexes of lists forward and back, with jobs in the tables, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from service.database import Database
from service.jobs import JobStore
from service.leases import LeaseStore
from service.options import JobOptions
from service.settings import Settings
from service.states import Kind

pytestmark = pytest.mark.empty_database

BEFORE = "0009"
OLD = {"ix_jobs_state_priority_id": ["state", "priority", "id"]}
NEW = {
    "ix_jobs_state_waits_for_children_priority_id": ["state", "waits_for_children", "priority", "id"],
    "ix_jobs_parent_id_state_id": ["parent_id", "state", "id"],
}


def indexes(database: Database) -> dict[str | None, list[str | None]]:
    return {index["name"]: index["column_names"] for index in inspect(database.engine).get_indexes("jobs")}


def test_forward_and_back_with_jobs_in_the_tables(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate(BEFORE)
    before = indexes(database)
    assert before.items() >= OLD.items()
    jobs, leases = JobStore(database, settings), LeaseStore(database, settings)
    sweep = jobs.enqueue(Kind.SWEEP, {"base": {}, "grid": {"seed": [1, 2]}}, children=[{"seed": 1}, {"seed": 2}])
    urgent = jobs.enqueue(Kind.TRAIN, {}, options=JobOptions(priority=5))

    database.migrate()
    assert database.unfit() is None
    after = indexes(database)
    assert after.items() >= NEW.items()
    assert not after.keys() & OLD.keys()
    runs = jobs.runs_of(sweep.id)
    assert jobs.positions([urgent, *runs]) == {urgent.id: 1, runs[0].id: 2, runs[1].id: 3}
    claimed = [leases.claim("w") for _ in range(2)]
    assert [lease and lease.job_id for lease in claimed] == [urgent.id, runs[0].id]
    assert jobs.children([sweep]) == {sweep.id: {"running": 1, "queued": 1}}

    database.migrate(BEFORE)
    assert indexes(database) == before
    assert jobs.children([sweep]) == {sweep.id: {"running": 1, "queued": 1}}
    database.dispose()
