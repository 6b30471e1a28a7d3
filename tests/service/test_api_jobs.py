"""Jobs over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access import ALL_RIGHTS
from service.assignments import LOG
from service.keys import KeyStore
from service.leases import LeaseStore, Report
from service.states import Kind
from tests.service.conftest import Api


@pytest.fixture
def registered(api: Api, data_root: Path) -> Api:
    """An API that knows the dataset `small`."""
    assert api.client.post("/v1/datasets", json={"name": "small", "path": "prepared"}).status_code == 201
    return api


def problem(response: httpx.Response, status: int, code: str, path: str | None = None) -> dict[str, Any]:
    """The problem document of an answer."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body.get("path") == path
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return body


TRAIN = {"dataset": "small", "batch_size": 100, "model": {"name": "deepfm"}}
PREPARE = {"name": "x", "raw": ["clicks.tsv.gz"], "preset": "criteo"}


def test_submit_list_get_cancel_retry(registered: Api) -> None:
    client = registered.client
    response = client.post("/v1/jobs", json={"kind": "train", "spec": TRAIN})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert {"id", "kind", "state", "progress", "eta_s", "metrics", "reason", "created_at"} <= set(job)
    assert (job["state"], job["progress"], job["reason"], job["spec"]) == ("queued", 0.0, None, TRAIN)
    assert client.get(f"/v1/jobs/{job['id']}").json() == job
    assert [entry["id"] for entry in client.get("/v1/jobs").json()["jobs"]] == [job["id"]]
    assert client.get("/v1/jobs", params={"kind": "score"}).json() == {"jobs": [], "next_cursor": None}
    assert client.get("/v1/jobs", params={"state": "queued", "kind": "train"}).json()["jobs"] == [job]
    assert client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 409, "illegal_state")
    assert client.post(f"/v1/jobs/{job['id']}/retry").json()["state"] == "queued"
    problem(client.post(f"/v1/jobs/{job['id']}/retry"), 409, "illegal_state")


def test_idempotency(registered: Api) -> None:
    post = registered.client.post
    body = {"kind": "train", "spec": TRAIN}
    first = post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
    again = post("/v1/jobs", json=dict(reversed(body.items())), headers={"Idempotency-Key": "k"})
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = {"kind": "train", "spec": {**TRAIN, "batch_size": 101}}
    problem(post("/v1/jobs", json=other, headers={"Idempotency-Key": "k"}), 422, "idempotency_conflict")
    assert post("/v1/jobs", json=body).json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("kind", "spec", "code", "path"),
    [
        ("train", {**TRAIN, "dataset": "smal"}, "bad_config", "spec.dataset"),
        ("train", {**TRAIN, "batch_size": 2401}, "bad_config", "spec.batch_size"),
        ("train", {**TRAIN, "model": {"name": "deepfn"}}, "bad_config", "spec.model.name"),
        ("train", {**TRAIN, "scaling": {"rule": "cowclap"}}, "bad_config", "spec.scaling.rule"),
        ("train", {**TRAIN, "epocs": 1}, "bad_config", "spec.epocs"),
        ("train", {**TRAIN, "warm_start": {"job": "nope"}}, "bad_request", "spec.warm_start.job"),
        ("train", {**TRAIN, "warm_start": {"model": "nope", "version": 1}}, "bad_config", "spec.warm_start.model"),
        ("prepare", {**PREPARE, "vocabulary_from": "nope"}, "bad_config", "spec.vocabulary_from"),
        ("sweep", {}, "bad_config", "spec.base"),
        ("trian", {}, "bad_config", "kind"),
        ("evaluate", {"dataset": "small", "job": "nope"}, "bad_request", "spec.job"),
        ("evaluate", {"dataset": "small", "model": "nope"}, "bad_config", "spec.model"),
        ("score", {"model": "nope", "inputs": ["clicks.tsv.gz"]}, "bad_config", "spec.model"),
        ("train", {**TRAIN, "batch_size": True}, "bad_config", "spec.batch_size"),
        ("evaluate", {"dataset": "small", "model": "ctr", "version": True}, "bad_config", "spec.version"),
        ("score", {"model": "ctr", "version": True, "inputs": ["clicks.tsv.gz"]}, "bad_config", "spec.version"),
        ("prepare", {**PREPARE, "min_count": True}, "bad_config", "spec.min_count"),
        ("prepare", {**PREPARE, "test_fraction": False}, "bad_config", "spec.test_fraction"),
        ("prepare", {**PREPARE, "raw": ["none.tsv"]}, "bad_data", "spec.raw.0"),
    ],
)
def test_refusals(shared_api: Api, kind: str, spec: dict[str, Any], code: str, path: str) -> None:
    response = shared_api.client.post("/v1/jobs", json={"kind": kind, "spec": spec})
    body = problem(response, 422, code, path)
    assert str(shared_api.services.settings.home_dir) not in json.dumps(body)
    assert shared_api.client.get("/v1/jobs", params={"state": "queued"}).json()["jobs"] == []


def test_near_names_are_suggested(shared_api: Api) -> None:
    for spec, name in (({**TRAIN, "dataset": "smal"}, "small"), ({**TRAIN, "model": {"name": "deepfn"}}, "deepfm")):
        detail = shared_api.client.post("/v1/jobs", json={"kind": "train", "spec": spec}).json()["detail"]
        assert f"Did you mean {name}" in detail


@pytest.mark.parametrize("given", ["/etc/passwd", "../ctrfast.db", "a\x00b"])
def test_paths_outside_the_roots(shared_api: Api, given: str) -> None:
    spec = {"name": "x", "raw": ["clicks.tsv.gz", given], "preset": "criteo"}
    response = shared_api.client.post("/v1/jobs", json={"kind": "prepare", "spec": spec})
    if "\x00" in given:
        problem(response, 422, "bad_request")
    else:
        problem(response, 403, "path_not_allowed", "spec.raw.1")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[" * 100_000, 400, "too_deep"),
        (b"[]", 422, "bad_request"),
        (b'{"kind": "train"}', 422, "bad_request"),
        (b'{"kind": "train", "spec": {}, "extra": 1}', 422, "bad_request"),
        (b'{"kind": "train", "spec": {"dataset": NaN}}', 422, "bad_request"),
        (b'{"kind": "train", "spec": {}, "\\ud800": 1}', 422, "bad_request"),
        (b'{"kind": "train", "spec": {"\\ud800": 1}}', 422, "bad_request"),
        (b'{"kind": "train", "spec": {"dataset": "small", "batch_size": 1e999}}', 422, "bad_request"),
        (
            b'{"kind": "train", "spec": {"dataset": "small", "batch_size": 1' + b"0" * 5000 + b"}}",
            400,
            "malformed_json",
        ),
    ],
)
def test_hostile_bodies(shared_api: Api, content: bytes, status: int, code: str) -> None:
    response = shared_api.client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize("job_id", ["nope", "%00", "..%2f..", "x" * 300])
@pytest.mark.parametrize("part", ["", "/events", "/logs", "/metrics", "/outputs/x"])
def test_unknown_jobs(shared_api: Api, job_id: str, part: str) -> None:
    assert shared_api.client.get(f"/v1/jobs/{job_id}{part}").json()["code"] == "not_found"


def run_a_job(api: Api) -> str:
    """A job that a pretended worker has done."""
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    for step in (1, 2, 3):
        record = {"step": step, "loss": 1 / step}
        api.services.leases.renew(lease, Report(progress=step / 4, records=[record], metrics={"loss": 1 / step}))
    api.services.leases.succeed(lease, {"test_auc": 0.8}, lambda _: {"outputs": ["scores.parquet"]})
    return job_id


def read_events(api: Api, job_id: str, **options: Any) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, type, data) of a finished job's stream."""
    events = []
    with api.client.stream("GET", f"/v1/jobs/{job_id}/events", **options) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for block in response.read().decode().replace("\r\n", "\n").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


def test_the_event_stream_ends_with_the_job_and_can_be_resumed(api: Api) -> None:
    job_id = run_a_job(api)
    events = read_events(api, job_id)
    assert [event[0] for event in events] == list(range(1, 10))
    assert events[-1][1] == "state"
    assert events[-1][2]["state"] == "succeeded"
    assert {kind for _, kind, _ in events} == {"state", "metric", "progress"}
    assert read_events(api, job_id, headers={"Last-Event-ID": "5"}) == events[5:]
    assert read_events(api, job_id, params={"after": 7}) == events[7:]
    assert read_events(api, job_id, headers={"Last-Event-ID": "9"}) == []
    assert api.client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_a_metric_series(api: Api) -> None:
    job_id = run_a_job(api)
    answer = api.client.get(f"/v1/jobs/{job_id}/metrics").json()
    assert [record["step"] for record in answer["series"]] == [1, 2, 3]
    assert answer["last_seq"] == read_events(api, job_id)[-1][0]


def test_logs_by_offset(api: Api) -> None:
    job_id = run_a_job(api)
    url = f"/v1/jobs/{job_id}/logs"
    assert api.client.get(url).text == ""
    log = api.services.settings.job_folder(job_id) / LOG
    log.parent.mkdir(parents=True)
    log.write_bytes("first\nsecönd\n".encode())
    response = api.client.get(url)
    assert response.text == "first\nsecönd\n"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    following = response.headers["x-next-offset"]
    with log.open("a") as file:
        file.write("third\n")
    assert api.client.get(url, params={"offset": following}).text == "third\n"
    assert api.client.get(url, params={"offset": 10**9}).text == ""


def test_outputs_by_their_listed_names(api: Api) -> None:
    job_id = run_a_job(api)
    folder = api.services.settings.job_folder(job_id) / "outputs"
    folder.mkdir(parents=True)
    (folder / "scores.parquet").write_bytes(b"scores")
    (folder / "unlisted").write_bytes(b"no")
    assert api.client.get(f"/v1/jobs/{job_id}/outputs/scores.parquet").content == b"scores"
    problem(api.client.get(f"/v1/jobs/{job_id}/outputs/unlisted"), 404, "not_found")
    (folder / "scores.parquet").unlink()
    gone = problem(api.client.get(f"/v1/jobs/{job_id}/outputs/scores.parquet"), 404, "not_found")
    assert gone["detail"] == f"The job '{job_id}' has no output 'scores.parquet'."


def test_a_failed_job_tells_its_reason(api: Api) -> None:
    from service.states import Reason

    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    api.services.leases.fail(lease, Reason.NAN_LOSS, "The loss is nan.")
    job = api.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["reason"], job["message"]) == ("failed", "nan_loss", "The loss is nan.")


def test_the_api_notices_a_lost_worker(make_api: Callable[..., Api]) -> None:
    from tests.service.conftest import wait_for

    api = make_api(lease_s=2.0)
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    api.services.leases.claim("dead")
    wait_for(lambda: api.client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued", "the sweep")


def test_the_sweep_survives_any_error(make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.service.conftest import wait_for

    failures = [ZeroDivisionError(), OSError(24, "Too many open files")]
    sweep = LeaseStore.sweep

    def broken(self: LeaseStore) -> int:
        if failures:
            raise failures.pop()
        return sweep(self)

    monkeypatch.setattr(LeaseStore, "sweep", broken)
    api = make_api(lease_s=2.0)
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {}).id
    api.services.leases.claim("dead")
    wait_for(lambda: api.client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued", "the sweep")
    assert failures == []


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize(
    ("route", "body", "code"),
    [
        ("/v1/jobs", {"kind": "sweep", "spec": {}}, "bad_config"),
        ("/v1/datasets", {"name": "n"}, "bad_config"),
        ("/v1/plans", {"preset": "none"}, "bad_config"),
    ],
)
def test_a_body_is_json_whatever_its_type_says(
    shared_api: Api, content_type: str | None, route: str, body: dict[str, Any], code: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = shared_api.client.post(route, content=json.dumps(body), headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, code)
    response = shared_api.client.post(route, content=b"{", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("require_key", [False, True])
def test_a_database_that_does_not_answer(make_api: Callable[..., Api], require_key: bool) -> None:
    api = make_api(require_key=require_key)
    key = KeyStore(api.services.database).create("test", rights=ALL_RIGHTS)
    headers = {"X-API-Key": key}
    assert api.client.get("/v1/jobs", headers=headers).status_code == 200
    api.services.database.migrate("base")  # no table is left
    for path in ("/v1/jobs", "/v1/jobs/x/events", "/v1/models/m", "/v1/datasets", "/readyz"):
        problem(api.client.get(path, headers=headers), 503, "not_ready")
    for method, path, body in (
        ("PUT", "/v1/models/m/aliases/a", {"version": 1}),
        ("POST", "/v1/models/m:predict", {"instances": []}),
        ("POST", "/v1/plans", {"dataset": "d"}),
    ):
        problem(api.client.request(method, path, json=body, headers=headers), 503, "not_ready")
    text = api.client.get("/metrics", headers=headers).text
    assert "ctrfast_database_up 0.0" in text
    assert "ctrfast_http_requests_total" in text
    other = api.client.get("/v1/jobs", headers={"X-API-Key": f"{'0' * 12}.x"})
    problem(other, 503, "not_ready")
    assert api.client.get("/healthz").status_code == 200


def test_a_train_job_is_refused_by_what_its_dataset_holds(registered: Api, data_root: Path) -> None:
    api, job = registered, {"kind": "train", "spec": TRAIN}
    field = data_root / "prepared" / "vocabulary" / "C3.parquet"
    content = field.read_bytes()
    field.write_bytes(content[:-1])
    problem(api.client.post("/v1/jobs", json=job), 422, "bad_data", "spec.dataset")
    field.unlink()
    gone = api.client.post("/v1/jobs", json=job)
    problem(gone, 422, "bad_data", "spec.dataset")
    assert "vocabulary/C3.parquet" in gone.json()["detail"]
    field.write_bytes(content)
    assert api.client.post("/v1/jobs", json=job).status_code == 202
    (data_root / "prepared" / "manifest.json").unlink()
    without = api.client.post("/v1/jobs", json=job)
    problem(without, 422, "bad_artifact", "spec.dataset")
    assert str(data_root) not in without.text
