"""Workers share one queue, on SQLite and PostgreSQL."""

from __future__ import annotations

from service.states import Kind
from service.tables import DatasetRow
from service.wiring import Services
from tests.service.test_worker import ended, working


def test_several_workers_run_each_job_once(services: Services) -> None:
    facts = {"train": 100, "valid": 0, "test": 0}
    row = DatasetRow(
        name="d", path="/nowhere", hash="h", preset="criteo", rows=facts, label_rate={}, table_rows=1, created_at=0
    )
    with services.database.write() as session:
        session.add(row)
    ids = [services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"}).id for _ in range(12)]
    settings = services.settings
    with working(settings, "done"), working(settings, "done"), working(settings, "done"):
        assert {ended(services, job_id).state for job_id in ids} == {"succeeded"}
    assert {services.jobs.get(job_id).attempt for job_id in ids} == {1}
    for job_id in ids:
        events = services.jobs.events(job_id, 0).events
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.data["state"] for event in events if event.type == "state"] == ["queued", "running", "succeeded"]
