"""Priorities, deadlines, labels, pause and back-pressure over real HTTP; and twins that arrive together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.states import Kind
from tests.service.conftest import Api
from tests.service.test_api_jobs import PREPARE, TRAIN, problem

MakeApi = Callable[..., Api]


def knows_small(api: Api, dataset: Path) -> Api:
    """The API, with a dataset `small`."""
    api.services.datasets.register("small", dataset)
    return api


def submit(api: Api, **options: Any) -> dict[str, Any]:
    response = api.client.post("/v1/jobs", json={"kind": "train", "spec": TRAIN, **options})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def test_a_job_tells_its_options_and_its_place(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(), dataset)
    first = submit(api)
    job = submit(api, priority=5, deadline_s=3600, labels={"team": "ads"})
    assert (job["priority"], job["labels"], job["position"]) == (5, {"team": "ads"}, 1)
    assert job["deadline_at"] > job["created_at"]
    assert (first["priority"], first["labels"], first["deadline_at"], first["not_before"]) == (0, {}, None, None)
    assert api.client.get(f"/v1/jobs/{first['id']}").json()["position"] == 2
    listed = api.client.get("/v1/jobs").json()["jobs"]
    assert {entry["id"]: entry["position"] for entry in listed} == {job["id"]: 1, first["id"]: 2}
    api.services.leases.claim("w")
    assert api.client.get(f"/v1/jobs/{job['id']}").json()["position"] is None
    assert api.client.get(f"/v1/jobs/{first['id']}").json()["position"] == 1


def test_label_filters(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(), dataset)
    both = submit(api, labels={"team": "ads", "night": "1"})["id"]
    one = submit(api, labels={"team": "ads"})["id"]

    def found(*labels: str) -> list[str]:
        answer = api.client.get("/v1/jobs", params={"label": labels, "limit": 2})
        return [job["id"] for job in answer.json()["jobs"]]

    assert found("team=ads") == [one, both]
    assert found("team=ads", "night=1") == [both]
    assert found("team=maps") == []
    problem(api.client.get("/v1/jobs", params={"label": ["team=ads", "team"]}), 422, "bad_request", "label.1")


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": 1e9}, "deadline_s"),
        ({"deadline_s": "60"}, "deadline_s"),
        ({"labels": {f"k{n}": "v" for n in range(21)}}, "labels"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"labels": {"a": "x" * 101}}, "labels.a"),
        ({"labels": {"a": "x\x00"}}, "labels.a"),
        ({"labels": {"a=b": "x"}}, "labels.a=b.[key]"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"a": {"b": "c"}}}, "labels.a"),
    ],
)
def test_options_that_break_a_rule(shared_api: Api, options: dict[str, Any], path: str) -> None:
    response = shared_api.client.post("/v1/jobs", json={"kind": "train", "spec": TRAIN, **options})
    problem(response, 422, "bad_request", path)
    assert shared_api.client.get("/v1/jobs", params={"state": "queued"}).json()["jobs"] == []


def test_pause_and_resume(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(), dataset)
    url = f"/v1/jobs/{submit(api)['id']}"
    post = api.client.post
    problem(post(f"{url}/resume"), 409, "illegal_state")
    assert post(f"{url}/pause").json()["state"] == "paused"
    assert problem(post(f"{url}/pause"), 409, "illegal_state")["detail"] == "A job that is paused cannot be paused."
    problem(post(f"{url}/retry"), 409, "illegal_state")
    assert api.client.get("/v1/jobs", params={"state": "paused"}).json()["jobs"][0]["position"] is None
    assert post(f"{url}/resume").json()["state"] == "queued"
    lease = api.services.leases.claim("w")
    assert lease is not None
    for _ in range(2):  # asking twice is no error
        asked = post(f"{url}/pause").json()
        assert (asked["state"], asked["pausing"]) == ("running", True)
    assert api.services.leases.renew(lease)
    api.services.leases.stopped(lease)
    paused = api.client.get(url).json()
    assert (paused["state"], paused["pausing"], paused["finished_at"]) == ("paused", False, None)
    assert post(f"{url}/cancel").json()["state"] == "cancelled"
    for action in ("pause", "resume", "cancel"):
        problem(post(f"{url}/{action}"), 409, "illegal_state")
    for action in ("pause", "resume"):
        problem(post(f"/v1/jobs/nope/{action}"), 404, "not_found")


def test_resume_takes_back_a_wish_to_pause(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(), dataset)
    url = f"/v1/jobs/{submit(api)['id']}"
    lease = api.services.leases.claim("w")
    assert lease is not None
    api.client.post(f"{url}/pause")
    resumed = api.client.post(f"{url}/resume").json()
    assert (resumed["state"], resumed["pausing"]) == ("running", False)
    assert not api.services.leases.renew(lease)
    problem(api.client.post(f"{url}/resume"), 409, "illegal_state")


def test_a_full_queue_answers_429(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(max_queued=1), dataset)
    headers = {"Idempotency-Key": "k"}
    body = {"kind": "train", "spec": TRAIN}
    first = api.client.post("/v1/jobs", json=body, headers=headers).json()
    response = api.client.post("/v1/jobs", json=body)
    problem(response, 429, "queue_full")
    assert int(response.headers["retry-after"]) > 0
    assert api.client.post("/v1/jobs", json=body, headers=headers).json()["id"] == first["id"]
    api.services.jobs.cancel(first["id"])
    submit(api)


def test_options_belong_to_what_a_key_stands_for(make_api: MakeApi, dataset: Path) -> None:
    api = knows_small(make_api(), dataset)
    body = {"kind": "train", "spec": TRAIN}
    headers = {"Idempotency-Key": "k"}
    first = api.client.post("/v1/jobs", json=body, headers=headers).json()
    same = api.client.post("/v1/jobs", json={**body, "priority": 0}, headers=headers)
    assert (same.json()["id"], same.headers["idempotent-replayed"]) == (first["id"], "true")
    other = api.client.post("/v1/jobs", json={**body, "priority": 1}, headers=headers)
    problem(other, 422, "idempotency_conflict")


@pytest.mark.parametrize("kind", [Kind.TRAIN, Kind.PREPARE])
def test_fifty_twins_at_once_are_one_job(database_url: str, make_api: MakeApi, dataset: Path, kind: Kind) -> None:
    api = knows_small(make_api(database_url=database_url), dataset)
    file = api.services.settings.home_dir / "data" / "clicks.tsv.gz"
    file.touch()
    body = {"kind": kind, "spec": TRAIN if kind is Kind.TRAIN else PREPARE, "labels": {"a": "b"}}
    barrier = threading.Barrier(50)
    answers: list[httpx.Response] = []

    def submit_one() -> None:
        with httpx.Client(base_url=api.url, timeout=120) as client:
            barrier.wait()
            answers.append(client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "twin"}))

    threads = [threading.Thread(target=submit_one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 50
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    assert api.services.jobs.counts()["queued"] == 1
