"""Events by polling, logs by range and to the end, thinned metrics: over real HTTP."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from service import job_logs
from service.assignments import LOG
from service.job_logs import FileLog
from service.leases import Report
from service.negotiation import prefers_json
from service.states import Kind
from service.tables import Event
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem, read_events, run_a_job

JSON = {"Accept": "application/json"}


def poll(api: Api, job_id: str, **params: Any) -> dict[str, Any]:
    response = api.client.get(f"/v1/jobs/{job_id}/events", params=params, headers=JSON)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "Accept"
    body: dict[str, Any] = response.json()
    return body


def test_polling_tells_what_the_stream_tells(api: Api) -> None:
    job_id = run_a_job(api)
    polled: list[dict[str, Any]] = []
    after = 0
    while True:
        page = poll(api, job_id, after=after, limit=4)
        polled += page["events"]
        assert page["after"] == after + len(page["events"])
        after = page["after"]
        if page["finished"]:
            break
    streamed = [
        (event["seq"], event["type"], {"seq": event["seq"], "at": event["at"], **event["data"]}) for event in polled
    ]
    assert streamed == read_events(api, job_id)
    assert poll(api, job_id, after=after) == {"events": [], "after": after, "finished": True}


def test_polling_a_job_that_has_not_ended(api: Api) -> None:
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    page = poll(api, job_id)
    assert [event["type"] for event in page["events"]] == ["state"]
    assert (page["after"], page["finished"]) == (1, False)
    assert poll(api, job_id, after=1) == {"events": [], "after": 1, "finished": False}
    for params in ({"limit": 0}, {"limit": 1001}, {"after": -1}):
        response = api.client.get(f"/v1/jobs/{job_id}/events", params=params, headers=JSON)
        problem(response, 422, "bad_request", next(iter(params)))


def test_events_of_some_types(api: Api) -> None:
    job_id = run_a_job(api)
    everything = poll(api, job_id)
    wanted = [event for event in everything["events"] if event["type"] in ("state", "metric")]
    assert 2 < len(wanted) < len(everything["events"])
    assert poll(api, job_id, types="metric,state") == {**everything, "events": wanted}
    first = poll(api, job_id, types="state,metric", limit=2)
    assert first == {"events": wanted[:2], "after": wanted[1]["seq"], "finished": False}
    rest = poll(api, job_id, types="state,metric", after=first["after"])
    assert rest == {**everything, "events": wanted[2:]}
    assert poll(api, job_id, types="warning") == {**everything, "events": []}
    refused = api.client.get(f"/v1/jobs/{job_id}/events", params={"types": "state,loss"}, headers=JSON)
    told = problem(refused, 422, "bad_request", "types")
    assert told["detail"] == "`types` may hold state, progress, metric, log, warning. Got 'loss'."


def test_events_of_some_types_that_were_removed(api: Api) -> None:
    job_id = run_a_job(api)
    with api.services.database.write() as session:
        session.execute(delete(Event).where(Event.job_id == job_id, Event.seq <= 3))
    params: dict[str, Any] = {"types": "warning", "after": 2}
    url = f"/v1/jobs/{job_id}/events"
    answer = api.client.get(url, params=params, headers=JSON)
    assert problem(answer, 410, "events_expired")
    assert answer.headers["x-first-seq"] == "4"
    assert poll(api, job_id, types="warning", after=3)["finished"]


@pytest.mark.parametrize(
    ("accept", "json_"),
    [
        ("", False),
        ("*/*", False),
        ("text/event-stream", False),
        ("application/json, text/event-stream", False),
        ("application/json", True),
        ("application/json, text/event-stream;q=0.5", True),
        ("application/json;q=0", False),
    ],
)
def test_which_form(accept: str, json_: bool) -> None:
    assert prefers_json(accept) is json_


def job_with_lines(api: Api, lines: list[str]) -> Any:
    """A running job whose worker has reported lines of its log."""
    api.services.jobs.enqueue(Kind.TRAIN, {})
    lease = api.services.leases.claim("w")
    assert lease is not None
    api.services.leases.renew(lease, Report(lines=lines))
    return lease


def test_log_lines_by_range(api: Api) -> None:
    lease = job_with_lines(api, ["one", "two", "three"])
    url = f"/v1/jobs/{lease.job_id}/logs"
    assert api.client.get(url).text == "one\ntwo\nthree\n"  # this server has no file of it
    first = api.client.get(url, params={"after": 0, "limit": 2})
    assert first.text == "one\ntwo\n"
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    after = first.headers["x-next-after"]
    assert api.client.get(url, params={"after": after, "limit": 2}).text == "three\n"
    last = api.client.get(url, params={"after": 99})
    assert (last.text, last.headers["x-next-after"]) == ("", "99")
    problem(api.client.get(url, params={"after": 1, "offset": 1}), 422, "bad_request", "after")


@pytest.mark.parametrize("source", ["file", "events", "events read one at a time", "events read two at a time"])
def test_the_end_of_a_log(api: Api, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "one" in source or "two" in source:
        monkeypatch.setattr("service.events._LINES_AT_ONCE", 1 if "one" in source else 2)
    lease = job_with_lines(api, ["one", "zwölf", "three"])  # 4, 7 and 6 bytes
    log = api.services.settings.job_folder(lease.job_id) / LOG
    if source == "file":
        log.parent.mkdir(parents=True)
        log.write_text("one\nzwölf\nthree\n")
    url = f"/v1/jobs/{lease.job_id}/logs"
    last, last_two = "three\n", "zwölf\nthree\n"
    too_short = "hree\n" if source == "file" else ""  # a line that is longer than all that is asked for
    for most, text in {5: too_short, 6: last, 12: last, 13: last_two, 16: last_two, 17: f"one\n{last_two}"}.items():
        answer = api.client.get(url, params={"tail": most})
        assert answer.text == text, most
        assert (answer.headers["x-start"] == "0") is (most == 17)
    if source == "file":
        going_on = {"offset": answer.headers["x-next-offset"]}
        with log.open("a") as file:
            file.write("four\n")
    else:
        going_on = {"after": answer.headers["x-next-after"]}
    api.services.leases.renew(lease, Report(lines=["four"]))
    assert api.client.get(url, params=going_on).text == "four\n"
    api.services.leases.succeed(lease, {}, lambda _: {})
    followed = api.client.get(url, params={"tail": 11, "follow": True})
    assert followed.text == "three\nfour\n"
    problem(api.client.get(url, params={"tail": 1, "after": 1}), 422, "bad_request", "tail")


def test_the_end_of_a_log_of_events_has_at_most_so_many_lines(api: Api) -> None:
    lease = job_with_lines(api, ["one", "two", "three"])
    url = f"/v1/jobs/{lease.job_id}/logs"
    answer = api.client.get(url, params={"tail": 1000, "limit": 2})
    assert answer.text == "two\nthree\n"
    start, after = answer.headers["x-start"], answer.headers["x-next-after"]
    assert api.client.get(url, params={"after": 0, "limit": 1}).headers["x-next-after"] == start
    assert api.client.get(url, params={"after": start}).text == "two\nthree\n"
    assert api.client.get(url, params={"after": after}).text == ""
    whole = api.client.get(url, params={"tail": 1000, "limit": 3})
    assert (whole.text, whole.headers["x-start"]) == ("one\ntwo\nthree\n", "0")
    api.services.leases.succeed(lease, {}, lambda _: {})
    followed = api.client.get(url, params={"tail": 1000, "limit": 2, "follow": True})
    assert followed.text == "one\ntwo\nthree\n"


def test_the_end_of_a_file_is_looked_for_in_pieces(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = FileLog._bytes, []

    def told(log: FileLog, start: int, most: int) -> bytes:
        asked.append(most)
        return read(log, start, most)

    monkeypatch.setattr(FileLog, "_bytes", told)
    monkeypatch.setattr(job_logs, "_CHUNK_BYTES", 4)
    text = b"one\n" + b"a" * 11 + b"\n\n" + b"b" * 9 + b"\nc\n"
    path = tmp_path / "log"
    for whole in (text, text[:-1]):
        path.write_bytes(whole)
        log = FileLog(api.services.jobs, "any", path)
        begins = [0, *(at + 1 for at, byte in enumerate(whole[:-1]) if byte == ord("\n"))]
        for most in range(1, len(whole) + 5):
            least = max(0, len(whole) - most)
            assert log.tail(most) == next((begin for begin in begins if begin >= least), least), most
    assert max(asked) == 4


@pytest.mark.parametrize("source", ["file", "events"])
def test_a_log_is_followed_until_the_job_ends(api: Api, source: str) -> None:
    lease = job_with_lines(api, ["one"])
    log = api.services.settings.job_folder(lease.job_id) / LOG
    if source == "file":
        log.parent.mkdir(parents=True)
        log.write_text("one\n")
    url = f"/v1/jobs/{lease.job_id}/logs"
    first_read = threading.Event()

    def go_on() -> None:
        first_read.wait(120)
        if source == "file":
            with log.open("a") as file:
                file.write("two\n")
        api.services.leases.renew(lease, Report(lines=["two"]))
        api.services.leases.succeed(lease, {}, lambda _: {})

    thread = threading.Thread(target=go_on)
    thread.start()
    text = ""
    with api.client.stream("GET", url, params={"follow": True}) as response:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        for piece in response.iter_text():
            text += piece
            first_read.set()
    thread.join()
    assert text == "one\ntwo\n"
    assert api.client.get(url, params={"follow": True}).text == text
    if source == "file":
        assert api.client.get(url, params={"follow": True, "offset": 4}).text == "two\n"


def test_thinned_metrics(api: Api) -> None:
    api.services.jobs.enqueue(Kind.TRAIN, {})
    lease = api.services.leases.claim("w")
    assert lease is not None
    records = [{"step": step, "loss": float(step), "auc": 0.5} for step in range(100)]
    api.services.leases.renew(lease, Report(records=records))
    url = f"/v1/jobs/{lease.job_id}/metrics"
    assert api.client.get(url).json()["series"] == records
    series = api.client.get(url, params={"names": "loss,none", "points": 8}).json()["series"]
    assert series == [{"step": step, "loss": float(step)} for step in (0, 49, 50, 99)]
    assert api.client.get(url, params={"names": "none"}).json()["series"] == []
    problem(api.client.get(url, params={"points": 3}), 422, "bad_request", "points")
    assert api.client.get(url, params={"after": 99_999}).json()["series"] == []


def test_metrics_by_what_their_names_begin_with(api: Api) -> None:
    api.services.jobs.enqueue(Kind.TRAIN, {})
    lease = api.services.leases.claim("w")
    assert lease is not None
    of_all: dict[str, Any] = {"loss": 0.5, "clipped_share": 0.2, "x*y": 1.0}
    of_fields = {"clipped_share.C1": 0.1, "clipped_share.C2": 0.3, "embedding_norm.C1": 2.0}
    api.services.leases.renew(lease, Report(records=[{"step": 1, **of_all, **of_fields}]))
    url = f"/v1/jobs/{lease.job_id}/metrics"

    def names(asked: str, **more: Any) -> list[str]:
        (record,) = api.client.get(url, params={"names": asked, **more}).json()["series"]
        return [name for name in record if name != "step"]

    for more in ({}, {"points": 4}):
        assert names("clipped_share.*", **more) == ["clipped_share.C1", "clipped_share.C2"]
        assert names("clipped_share*,loss", **more) == ["loss", "clipped_share", "clipped_share.C1", "clipped_share.C2"]
        assert names("*", **more) == [*of_all, *of_fields]
        assert names("x*y", **more) == ["x*y"]
