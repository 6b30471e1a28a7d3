"""The audit log over real HTTP: every change is in it, nothing else is, and it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.access import ALL_RIGHTS, Right
from service.audit import Deed, record
from service.keys import KeyStore
from service.tables import AuditRow
from service.wiring import Services
from tests.service.conftest import Api, publish
from tests.service.test_api_jobs import problem


@pytest.fixture
def guarded(make_api: Callable[..., Api], data_root: Path) -> Api:
    """An API that demands keys."""
    return make_api(require_key=True)


def client(api: Api, key: str) -> httpx.Client:
    return httpx.Client(base_url=api.url, headers={"X-API-Key": key}, timeout=120)


def test_each_change_is_told(guarded: Api, bundle: Path) -> None:
    keys = KeyStore(guarded.services.database)
    key = keys.create("all", rights=ALL_RIGHTS)
    reader = keys.create("reader", rights=[Right.JOBS_READ])
    key_id, reader_id = key.partition(".")[0], reader.partition(".")[0]
    publish(guarded, bundle)
    with client(guarded, key) as caller, client(guarded, reader) as other:
        made = caller.post("/v1/datasets", json={"name": "d", "path": "prepared"}, headers={"X-Request-ID": "one"})
        assert made.status_code == 201
        job = caller.post("/v1/jobs", json={"kind": "train", "spec": {"dataset": "d", "batch_size": 100}}).json()
        caller.post(f"/v1/jobs/{job['id']}/cancel")
        caller.post("/v1/jobs/none/cancel")
        caller.put("/v1/models/ctr/aliases/stable", json={"version": 1})
        problem(other.post("/v1/jobs", json={"kind": "train", "spec": {}}), 403, "missing_scope")
        # None of these changes anything.
        caller.get("/v1/jobs")
        caller.post("/v1/plans", json={"batch_size": 100})
        caller.post("/v1/models/ctr:predict", json={"instances": [{}]})
        caller.post("/v1/score", json={"model": "ctr", "candidates": [{}]})
        assert guarded.client.post("/v1/jobs", json={}).status_code == 401
        keys.revoke(reader_id)
        entries = caller.get("/v1/audit").json()["entries"]
    told = [(e["caller"], e["method"], e["route"], e["target"], e["status"]) for e in reversed(entries)]
    assert told == [
        ("", "CLI", "create-key", key_id, 0),
        ("", "CLI", "create-key", reader_id, 0),
        (key_id, "POST", "/v1/datasets", "/v1/datasets/d", 201),
        (key_id, "POST", "/v1/jobs", f"/v1/jobs/{job['id']}", 202),
        (key_id, "POST", "/v1/jobs/{job_id}/cancel", f"/v1/jobs/{job['id']}/cancel", 202),
        (key_id, "POST", "/v1/jobs/{job_id}/cancel", "/v1/jobs/none/cancel", 404),
        (key_id, "PUT", "/v1/models/{name}/aliases/{alias}", "/v1/models/ctr/aliases/stable", 200),
        (reader_id, "POST", "/v1/jobs", "/v1/jobs", 403),
        ("", "CLI", "revoke-key", reader_id, 0),
    ]
    assert next(e for e in entries if e["status"] == 201)["request_id"] == "one"


def test_pages(api: Api) -> None:
    for number in range(5):
        api.client.post(f"/v1/jobs/{number}/cancel")
    first = api.client.get("/v1/audit", params={"limit": 3}).json()
    rest = api.client.get("/v1/audit", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    targets = [entry["target"] for entry in first["entries"] + rest["entries"]]
    assert targets == [f"/v1/jobs/{number}/cancel" for number in (4, 3, 2, 1, 0)]
    assert rest["next_cursor"] is None
    for query in ({"limit": 0}, {"limit": 201}, {"cursor": 0}, {"cursor": 2**31}, {"cursor": "x"}):
        assert api.client.get("/v1/audit", params=query).status_code == 422


def test_odd_targets_can_be_kept(services: Services) -> None:
    services.audit.write(Deed("k", "default", "POST", "/r", "a\x00b\n" + "x" * 1000, 404, "id"))
    (row,) = services.audit.page(10, None).rows
    assert row.target == "a?b?" + "x" * 251


def test_old_entries_go(services: Services) -> None:
    with services.database.write() as session:
        for name in ("old", "new"):
            record(session, Deed("k", "default", "POST", "/r", name, 200, "id"))
        session.flush()
        session.query(AuditRow).where(AuditRow.target == "old").update({"at": time.time() - 40 * 86_400})
    services.audit.forget(days=41)
    assert len(services.audit.page(10, None).rows) == 2
    services.audit.forget(days=39)
    assert [row.target for row in services.audit.page(10, None).rows] == ["new"]


def test_the_books_are_kept_beside_requests(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("used")
    with client(api, key) as caller:
        assert caller.get("/v1/jobs").status_code == 200
    api.close()  # what is in memory is written at the end
    (row,) = api.services.keys.all()
    assert row.last_used_at is not None
