"""All metric records of a job are read a page at a time, and sent as one series."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from service.jobs import JobStore
from service.leases import Report
from service.problems import EventsExpiredError
from service.routes import metric_series
from service.states import Kind
from service.tables import Event
from tests.service.conftest import Api

RECORDS: list[dict[str, Any]] = [{"epoch": 0, "step": step, "loss": 1 / step} for step in range(1, 6)]
RECORDS[3]["valid_auc"] = None


@pytest.fixture
def job_id(api: Api) -> str:
    """A running job with the records, and events of other types among them."""
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    for record in RECORDS:
        api.services.leases.renew(lease, Report(records=[record], lines=["a line"]))
    return job_id


@pytest.mark.parametrize("page", [1, 2, 5, 6])
def test_a_series_in_pages_is_the_whole_series(
    api: Api, job_id: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, sizes = JobStore.metric_series, []

    def noted(*given: Any) -> Any:
        answer = read(*given)
        sizes.append(len(answer[0]))
        return answer

    monkeypatch.setattr(JobStore, "metric_series", noted)
    monkeypatch.setattr(metric_series, "_PAGE", page)
    url, last_seq = f"/v1/jobs/{job_id}/metrics", api.services.jobs.get(job_id).last_seq
    answer = api.client.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"series": RECORDS, "last_seq": last_seq}
    assert max(sizes) <= page and sum(sizes) == len(RECORDS)
    of_one = [{"epoch": 0, "step": 4, "valid_auc": None}]
    assert api.client.get(url, params={"names": "valid_auc"}).json() == {"series": of_one, "last_seq": last_seq}
    assert api.client.get(url, params={"names": "none"}).json() == {"series": [], "last_seq": last_seq}
    assert api.client.get(url, params={"after": last_seq}).json() == {"series": [], "last_seq": last_seq}


def test_records_that_were_removed_meanwhile_are_no_gap(api: Api, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_series, "_PAGE", 2)
    pages = metric_series._pages(api.services.jobs, job_id, 0, None)
    next(pages)
    with api.services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == job_id, Event.seq < api.services.jobs.get(job_id).last_seq))
    with pytest.raises(EventsExpiredError):
        list(pages)


@pytest.mark.parametrize("error", [EventsExpiredError(3), OperationalError("SELECT secret", {}, Exception("host"))])
def test_an_answer_that_breaks_off_is_no_answer_and_told_in_one_line(
    api: Api, job_id: str, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = JobStore.metric_series

    def failing(self: JobStore, job_id: str, after: int = 0, limit: int | None = None) -> Any:
        if after:
            raise error
        return read(self, job_id, after, limit)

    monkeypatch.setattr(JobStore, "metric_series", failing)
    monkeypatch.setattr(metric_series, "_PAGE", 2)
    with pytest.raises(httpx.RemoteProtocolError):
        api.client.get(f"/v1/jobs/{job_id}/metrics")
    (line,) = (record for record in caplog.records if record.name == "service.api" and record.levelname == "ERROR")
    assert line.getMessage().endswith(f"broke off: {type(error).__name__}") and line.exc_info is None
    assert 'route="/v1/jobs/{job_id}/metrics",status="599"} 1.0' in api.client.get("/metrics").text
