"""Webhooks from the change of a job to a receiver over real HTTP: signed, repeated, and given up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.events import METRIC, STATE
from service.leases import Report
from service.options import JobOptions, Webhook
from service.settings import Settings
from service.states import Kind
from service.tables import WebhookRow
from service.webhooks import Outbox, deliver
from service.wiring import Services
from tests.service.conftest import Api, quick_settings, wait_for
from tests.service.receiver import Receiver, Told
from tests.service.test_api_jobs import TRAIN, problem
from tests.service.test_leases import claim

KEY = b"0123456789abcdef01234567"
ALLOWED: dict[str, Any] = {
    "webhook_secret": "whsec_" + base64.b64encode(KEY).decode(),
    "webhook_allow_http": True,
    "webhook_allow_private": True,
    "webhook_retry_first_s": 0.01,
    "webhook_timeout_s": 120.0,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def submit(services: Services, url: str, *events: str) -> str:
    options = JobOptions(webhook=Webhook(url=url, events=events or (STATE,)))  # type: ignore[arg-type]
    return services.jobs.enqueue(Kind.TRAIN, {}, options=options).id


def rows(services: Services) -> list[WebhookRow]:
    with services.database.read() as session:
        return list(session.scalars(select(WebhookRow).order_by(WebhookRow.job_id, WebhookRow.seq)))


def require_signed(told: Told) -> None:
    """As a receiver does it, by the words of the specification."""
    moment = told.headers["webhook-timestamp"]
    assert abs(time.time() - int(moment)) < 60
    content = f"{told.headers['webhook-id']}.{moment}.{told.body.decode()}"
    digest = base64.b64encode(hmac.new(KEY, content.encode(), hashlib.sha256).digest()).decode()
    assert told.headers["webhook-signature"].split(" ") == [f"v1,{digest}"]


def test_state_changes_arrive_signed(make_api: Callable[..., Api], data_root: Path, receiver: Receiver) -> None:
    api = make_api(**ALLOWED)
    api.services.datasets.register("small", data_root / "prepared")
    body = {"kind": "train", "spec": TRAIN, "webhook": {"url": f"{receiver.url}jobs?x=1"}}
    response = api.client.post("/v1/jobs", json=body)
    assert response.status_code == 202, response.text
    job_id = response.json()["id"]
    api.client.post(f"/v1/jobs/{job_id}/cancel")
    wait_for(lambda: len(receiver.told) == 2, "two webhooks")
    for told in receiver.told:
        require_signed(told)
        assert told.path == "/jobs?x=1"
        assert told.headers["content-type"] == "application/json"
    found = sorted((json.loads(told.body) for told in receiver.told), key=lambda message: message["data"]["seq"])
    assert [message["type"] for message in found] == ["job.state", "job.state"]
    assert found[1]["data"] == {"job": job_id, "kind": "train", "seq": 2, "state": "cancelled", "attempt": 0}
    events = api.client.get(f"/v1/jobs/{job_id}/events", headers={"Accept": "application/json"}).json()["events"]
    assert [message["timestamp"] for message in found] == [event["at"] for event in events]
    wait_for(lambda: all(row.delivered_at for row in rows(api.services)), "the note of it")
    assert {(row.tries, row.next_at, row.last_error) for row in rows(api.services)} == {(1, None, None)}


def test_a_receiver_that_fails_is_tried_again_with_the_same_id(
    make_api: Callable[..., Api], receiver: Receiver
) -> None:
    api = make_api(**ALLOWED)
    receiver.answers = [500, 302, 200]
    submit(api.services, receiver.url)
    wait_for(lambda: rows(api.services)[0].delivered_at, "the delivery")
    assert len({told.headers["webhook-id"] for told in receiver.told}) == 1
    assert [told.path for told in receiver.told] == ["/", "/", "/"]  # the redirect was not followed
    for told in receiver.told:
        require_signed(told)
    assert rows(api.services)[0].tries == 3


def test_a_webhook_is_given_up(make_api: Callable[..., Api], receiver: Receiver) -> None:
    api = make_api(**ALLOWED, webhook_max_tries=3)
    receiver.answers = [500] * 9
    submit(api.services, receiver.url)
    wait_for(lambda: rows(api.services)[0].next_at is None, "the end")
    (row,) = rows(api.services)
    assert (row.tries, row.delivered_at, row.last_error) == (3, None, "the receiver answered 500")
    assert len(receiver.told) == 3


def test_a_receiver_that_is_gone_is_not_asked_again(make_api: Callable[..., Api], receiver: Receiver) -> None:
    api = make_api(**ALLOWED)
    receiver.answers = [410]
    submit(api.services, receiver.url)
    wait_for(lambda: rows(api.services)[0].next_at is None, "the end")
    assert len(receiver.told) == 1


def test_nothing_is_sent_to_a_name_that_leads_here(make_api: Callable[..., Api], receiver: Receiver) -> None:
    api = make_api(**{**ALLOWED, "webhook_allow_private": False}, webhook_max_tries=1)
    submit(api.services, f"http://localhost:{receiver.port}/")
    wait_for(lambda: rows(api.services)[0].next_at is None, "the end")
    assert rows(api.services)[0].last_error == "the host has an address that is not public"
    assert receiver.told == []


@pytest.mark.parametrize(
    ("changes", "url", "code", "path"),
    [
        ({"webhook_secret": None}, "https://a.example/", "not_available", "webhook"),
        ({"webhook_allow_http": False}, "http://a.example/", "bad_request", "webhook.url"),
        ({"webhook_allow_private": False}, "https://127.0.0.1/", "bad_request", "webhook.url"),
        ({"webhook_allow_private": False}, "https://[::1]:8/", "bad_request", "webhook.url"),
        ({}, "ftp://a.example/", "bad_request", "webhook.url"),
        ({}, "https:///x", "bad_request", "webhook.url"),
        ({}, "https://me:secret@a.example/", "bad_request", "webhook.url"),
        ({}, "https://a.example/#x", "bad_request", "webhook.url"),
        ({}, "https://a.example:99999/", "bad_request", "webhook.url"),
        ({}, "", "bad_request", "webhook.url"),
    ],
)
def test_refusals(make_api: Callable[..., Api], changes: dict[str, Any], url: str, code: str, path: str) -> None:
    api = make_api(**{**ALLOWED, **changes})
    body = {"kind": "train", "spec": TRAIN, "webhook": {"url": url}}
    problem(api.client.post("/v1/jobs", json=body), 422, code, path)


@pytest.mark.parametrize("webhook", [{"url": "https://a.example/", "events": []}, {"url": 1}, {"urls": "x"}, "x"])
def test_malformed(api: Api, webhook: object) -> None:
    body = {"kind": "train", "spec": TRAIN, "webhook": webhook}
    answer: httpx.Response = api.client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


def outbox(services: Services, now: list[float]) -> Outbox:
    return Outbox(services.database, Settings(**ALLOWED), clock=lambda: now[0])


def test_a_message_is_taken_once_and_again_when_its_taker_died(services: Services) -> None:
    now = [time.time() + 1]
    job_id = submit(services, "https://a.example")
    box = outbox(services, now)
    (message,) = box.take()
    assert message.id == f"msg_{job_id}_1"
    assert box.take() == []
    now[0] += 3600
    assert box.take() == [message]
    box.delivered(message)
    now[0] += 3600
    assert box.take() == []
    assert not box.failed(message, "a late taker", for_good=False)
    assert rows(services)[0].last_error is None


def test_waits_grow(services: Services) -> None:
    now = [time.time() + 1]
    submit(services, "https://a.example")
    box = outbox(services, now)
    waits = []
    for _ in range(5):
        (message,) = box.take()
        assert box.failed(message, "no", for_good=False)
        next_at = rows(services)[0].next_at
        assert next_at is not None
        waits.append(next_at - now[0])
        now[0] = next_at
    assert waits == pytest.approx([0.01 * 3**tries for tries in range(5)], abs=1e-4)


def test_only_the_events_that_were_asked_for(services: Services) -> None:
    job_id = submit(services, "https://a.example", METRIC)
    lease = claim(services)
    services.leases.renew(lease, Report(records=[{"step": 1, "loss": 0.5}], lines=["x"], progress=0.5))
    found = [(row.job_id, row.seq) for row in rows(services)]
    events = services.jobs.events(job_id, 0).events
    assert found == [(job_id, event.seq) for event in events if event.type == METRIC]
    assert len(found) == 1


def test_a_change_that_is_rolled_back_tells_nobody(services: Services) -> None:
    job_id = submit(services, "https://a.example")
    lease = claim(services)
    before = len(rows(services))

    def broken(_: object) -> dict[str, Any]:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        services.leases.succeed(lease, {}, broken)
    assert len(rows(services)) == before
    assert services.jobs.get(job_id).state == "running"


def test_a_project_whose_secret_was_taken_away(services: Services, home: Path) -> None:
    submit(services, "https://a.example")
    settings = quick_settings(home, **{**ALLOWED, "webhook_secret": "other=" + ALLOWED["webhook_secret"]})
    box = Outbox(services.database, settings)
    (message,) = box.take()
    asyncio.run(deliver(message, box, settings))
    assert rows(services)[0].last_error == "the project has no secret to sign with"
