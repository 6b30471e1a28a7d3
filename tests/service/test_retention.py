"""Old events leave, their numbers are not given again, and who asks for them is told so: on both databases."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from service.leases import Report
from service.options import JobOptions, Webhook
from service.problems import EventsExpiredError
from service.retention import remove_old_events
from service.states import Kind
from service.tables import Event, Job, WebhookRow
from service.wiring import Services
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem, run_a_job
from tests.service.test_leases import claim

DAY_S = 86_400


def finished_job(services: Services, days_ago: float, lines: int = 5) -> str:
    """A job with events and a webhook that ended some days ago."""
    options = JobOptions(webhook=Webhook(url="https://a.example"))
    job_id = services.jobs.enqueue(Kind.TRAIN, {}, options=options).id
    lease = claim(services)
    services.leases.renew(lease, Report(lines=["x"] * lines, records=[{"step": 1, "loss": 0.5}]))
    services.leases.succeed(lease, {}, lambda _: {})
    with services.database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=time.time() - days_ago * DAY_S))
    return job_id


def count(services: Services, job_id: str, table: type[Event] | type[WebhookRow] = Event) -> int:
    with services.database.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(table.job_id == job_id)) or 0


def test_events_of_jobs_that_ended_long_ago_are_removed(services: Services) -> None:
    old, new = finished_job(services, 8), finished_job(services, 6)
    running = services.jobs.enqueue(Kind.TRAIN, {}).id
    before = {job_id: count(services, job_id) for job_id in (old, new, running)}
    assert count(services, old, WebhookRow) == 3
    assert remove_old_events(services.database, None) == 0
    assert remove_old_events(services.database, 7, batch=2) == before[old]
    assert remove_old_events(services.database, 7, batch=2) == 0
    assert {job_id: count(services, job_id) for job_id in before} == {**before, old: 0}
    assert (count(services, old, WebhookRow), count(services, new, WebhookRow)) == (0, 3)


def test_numbers_go_on_after_a_removal(services: Services) -> None:
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id
    services.jobs.cancel(job_id)
    with services.database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=1.0))
    assert remove_old_events(services.database, 1) == 2
    with pytest.raises(EventsExpiredError) as expired:
        services.jobs.events(job_id, 0)
    assert expired.value.headers == {"X-First-Seq": "3"}
    page = services.jobs.events(job_id, 2)
    assert (list(page.events), page.finished) == ([], True)
    services.jobs.retry(job_id)
    assert [event.seq for event in services.jobs.events(job_id, 2).events] == [3]
    for read in (services.jobs.events, services.jobs.log, services.jobs.metric_series):
        read(job_id, 2)
        with pytest.raises(EventsExpiredError) as expired:
            read(job_id, 1)
        assert expired.value.headers == {"X-First-Seq": "3"}


def test_expired_is_410(api: Api, tmp_path: Path) -> None:
    job_id = run_a_job(api)
    with api.services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == job_id, Event.seq <= 4))
    url = f"/v1/jobs/{job_id}"
    for answer in (
        api.client.get(f"{url}/events"),
        api.client.get(f"{url}/events", headers={"Last-Event-ID": "3"}),
        api.client.get(f"{url}/events", params={"after": 3}, headers={"Accept": "application/json"}),
        api.client.get(f"{url}/metrics"),
        api.client.get(f"{url}/logs", params={"after": 3}),
        api.client.get(f"{url}/logs", params={"after": 3, "follow": True}),
    ):
        body = problem(answer, 410, "events_expired")
        assert answer.headers["x-first-seq"] == "5"
        assert body["detail"] == "Events before 5 were removed, as they were too old. Ask with `after=4`."
    assert api.client.get(f"{url}/metrics", params={"after": 4}).json()["series"][-1]["step"] == 3
    page = api.client.get(f"{url}/events", params={"after": 4}, headers={"Accept": "application/json"}).json()
    assert page["events"][0]["seq"] == 5
