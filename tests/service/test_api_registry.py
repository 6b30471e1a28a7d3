"""The registry over HTTP: compare and set, history, removal, traffic, shadows, TensorFlow Serving's metadata."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.pointers import PointerStore
from service.shadow import ShadowScorer
from service.shelf import Shelf
from service.tables import VersionRow
from tests.service.conftest import EMBEDDED_AND_SHARED, Api, publish, wait_for
from tests.service.test_api_jobs import problem

ROW = {"I1": 3, "C1": "68fd1e64"}
ALIAS = "/v1/models/ctr/aliases/latest"


@EMBEDDED_AND_SHARED
def test_compare_and_set_with_etags(two: Api) -> None:
    answer = two.client.get(ALIAS)
    seen = answer.headers["etag"]
    assert answer.json()["version"] == 2
    assert [(move["from_version"], move["to_version"]) for move in answer.json()["moves"]] == [(1, 2), (None, 1)]
    assert answer.json()["moves"][0]["job"] is not None
    moved = two.client.put(ALIAS, json={"version": 1}, headers={"If-Match": seen})
    assert moved.status_code == 200
    assert moved.headers["etag"] == two.client.get(ALIAS).headers["etag"] != seen
    for stale in (seen, "2", "nonsense", f"W/{moved.headers['etag']}", ""):
        problem(two.client.put(ALIAS, json={"version": 2}, headers={"If-Match": stale}), 412, "alias_moved")
    both = f"{seen}, {moved.headers['etag']}"
    assert two.client.put(ALIAS, json={"version": 2}, headers={"If-Match": both}).status_code == 200
    assert two.client.put(ALIAS, json={"version": 1}, headers={"If-Match": "*"}).status_code == 200
    new = "/v1/models/ctr/aliases/new"
    problem(two.client.put(new, json={"version": 1}, headers={"If-Match": "*"}), 412, "alias_moved")
    problem(two.client.get(new), 404, "not_found")
    assert len(two.client.get(f"{ALIAS}?limit=1").json()["moves"]) == 1


def test_the_history_names_keys(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api(require_key=True)
    publish(api, bundle)
    publish(api, bundle)
    key = api.services.keys.create("night shift")
    headers = {"X-API-Key": key}
    assert api.client.put(ALIAS, json={"version": 1}, headers=headers).status_code == 200
    key_id = key.partition(".")[0]
    reader = {"X-API-Key": api.services.keys.create("reader")}
    for _ in range(2):  # the second time, the key is good no longer
        moves = api.client.get(ALIAS, headers=reader).json()["moves"]
        told = [(move["caller"], move["caller_name"], move["job"] is None) for move in moves]
        assert told == [(key_id, "night shift", True), ("", None, False), ("", None, False)]
        api.services.keys.revoke(key_id)


def test_latest_takes_a_refused_version_by_force_alone(two: Api) -> None:
    with two.services.database.write() as session:
        row = session.get_one(VersionRow, ("default", "ctr", 1))
        row.verdict = {"refused": ["AUC 0.1"], "overruled": [], "compared": {}}
    body = problem(two.client.put(ALIAS, json={"version": 1}), 409, "gates_refused", "force")
    assert '"force": true' in body["detail"]
    assert two.client.put("/v1/models/ctr/aliases/candidate", json={"version": 1}).status_code == 200
    assert two.client.put(ALIAS, json={"version": 1, "force": True}).status_code == 200
    versions = two.client.get("/v1/models/ctr").json()["versions"]
    assert [version["verdict"] and version["verdict"]["refused"] for version in versions] == [None, ["AUC 0.1"]]


@EMBEDDED_AND_SHARED
def test_a_version_is_removed_by_hand(two: Api) -> None:
    url = "/v1/models/ctr/versions/1"
    assert two.client.post(f"{url}:predict", json={"instances": [ROW]}).status_code == 200  # it is loaded
    problem(two.client.delete("/v1/models/ctr/versions/2"), 409, "version_in_use")
    assert two.client.delete(url).status_code == 204
    wait_for(lambda: two.client.post(f"{url}:predict", json={"instances": [ROW]}).status_code == 410, "the removal")
    problem(two.client.post(f"{url}:predict", json={"instances": [ROW]}), 410, "version_removed")
    problem(two.client.delete(url), 410, "version_removed")
    problem(two.client.put(ALIAS, json={"version": 1}), 410, "version_removed")
    problem(two.client.get(f"{url}/metadata"), 410, "version_removed")
    problem(two.client.delete("/v1/models/ctr/versions/9"), 404, "not_found")
    version = two.client.get(url).json()
    (status,) = version["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("END", "NOT_FOUND")
    assert version["versions"][0]["metrics"] == {"test_auc": 0.7}
    assert version["versions"][0]["removed_at"] is not None


def test_labels_have_a_status(two: Api) -> None:
    two.client.put("/v1/models/ctr/aliases/stable", json={"version": 1})
    (status,) = two.client.get("/v1/models/ctr/labels/stable").json()["model_version_status"]
    assert status == {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    problem(two.client.get("/v1/models/ctr/labels/none"), 404, "not_found")


def test_metadata_in_the_form_of_tensorflow_serving(shared_api: Api) -> None:
    found = [
        shared_api.client.get(f"/v1/models/ctr{part}/metadata").json() for part in ("", "/versions/1", "/labels/latest")
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["model_spec"] == {"name": "ctr", "signature_name": "", "version": "1"}
    signature = found[0]["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["inputs"]["I1"] == {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "I1"}
    assert signature["inputs"]["C26"] == {"dtype": "DT_STRING", "tensor_shape": shape, "name": "C26"}
    assert len(signature["inputs"]) == 39
    assert list(signature["outputs"]) == ["probability"]
    problem(shared_api.client.get("/v1/models/ctr/versions/9/metadata"), 404, "not_found")
    problem(shared_api.client.get("/v1/models/ctx/metadata"), 404, "not_found")


def test_traffic_over_http(two: Api) -> None:
    url = "/v1/models/ctr/traffic"
    assert two.client.get(url).json() == {"split": None, "shadow": None}
    two.client.put("/v1/models/ctr/aliases/candidate", json={"version": 1})
    split = {"by": "C1", "shares": {"latest": 0.9, "candidate": 0.1}}
    answer = two.client.put(url, json={"split": split, "shadow": {"alias": "candidate", "share": 0.05}})
    assert answer.status_code == 200, answer.text
    assert (
        two.client.get(url).json()
        == answer.json()
        == {
            "split": split,
            "shadow": {"alias": "candidate", "share": 0.05},
        }
    )
    body = problem(two.client.put(url, json={"split": {**split, "by": "C99"}}), 422, "bad_request", "split.by")
    assert "C99" in body["detail"]
    problem(two.client.put(url, json={"split": {**split, "by": "label"}}), 422, "bad_request", "split.by")
    problem(two.client.put(url, json={"split": {"shares": {"latest": 0.9}}}), 422, "bad_request", "split")
    shares = {"latest": 0.9, "none": 0.1}
    problem(two.client.put(url, json={"split": {"shares": shares}}), 422, "bad_request", "split.shares.none")
    assert two.client.get(url).json() == answer.json()
    assert two.client.put(url, json={}).status_code == 200
    assert two.client.get(url).json() == {"split": None, "shadow": None}
    assert two.client.get("/v1/models/ctr/shadow").json() == {"model": "ctr", "comparisons": []}
    for missing in ("traffic", "shadow"):
        problem(two.client.get(f"/v1/models/ctx/{missing}"), 404, "not_found")


def new_shelf(api: Api, **changes: Any) -> Shelf:
    values: dict[str, Any] = {"refresh_s": 0.02, "capacity": 8, "keep_s": 60.0, **changes}
    return Shelf(api.services.registry, PointerStore(api.services.database), api.services.telemetry, **values)


@EMBEDDED_AND_SHARED
def test_a_split_and_a_shadow_on_real_versions(two: Api) -> None:
    two.client.put("/v1/models/ctr/aliases/candidate", json={"version": 1})
    split = {"by": "C1", "shares": {"latest": 0.5, "candidate": 0.5}}
    two.client.put("/v1/models/ctr/traffic", json={"split": split, "shadow": {"alias": "candidate", "share": 1.0}})

    async def body() -> list[int]:
        shelf = new_shelf(two)
        found = [(await shelf.by_traffic("default", "ctr", {"C1": f"u{user}"})).version for user in range(200)]
        assert found == [(await shelf.by_traffic("default", "ctr", {"C1": f"u{user}"})).version for user in range(200)]
        shadow = ShadowScorer(shelf, two.services.shadow_store, CollectorRegistry())
        task = asyncio.create_task(shadow.run())
        served = await shelf.by_alias("default", "ctr", "latest")
        rows = [ROW, {}]
        assert shadow.due("default", "ctr")
        shadow.take(served, lambda scorer: scorer.score_rows(rows), served.scorer.score_rows(rows))
        while not shadow._news:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    found = asyncio.run(body())
    assert 60 < found.count(1) < 140
    (comparison,) = two.client.get("/v1/models/ctr/shadow").json()["comparisons"]
    assert (comparison["version"], comparison["shadow_version"], comparison["rows"]) == (2, 1, 2)
    assert comparison["correlation"] == pytest.approx(1.0)
    assert comparison["largest_difference"] == 0.0  # copies of one bundle


@EMBEDDED_AND_SHARED
def test_the_version_before_stays_loaded_for_a_while(two: Api) -> None:
    now = [0.0]

    async def body() -> None:
        shelf = new_shelf(two, capacity=1, keep_s=10.0, clock=lambda: now[0])
        watch = asyncio.create_task(shelf.watch())

        def loaded() -> set[int]:
            return {version for _, _, version in shelf._loaded}

        async def until(versions: set[int]) -> None:
            async with asyncio.timeout(120):
                while loaded() != versions:
                    await asyncio.sleep(0.01)

        assert (await shelf.by_alias("default", "ctr", "latest")).version == 2
        await shelf.promote("default", "ctr", "latest", 1)
        assert (await shelf.by_alias("default", "ctr", "latest")).version == 1
        assert loaded() == {1, 2}
        two.services.registry.set_alias("ctr", "latest", 2)  # another process rolls back: nothing is read again
        async with asyncio.timeout(120):
            while (await shelf.by_alias("default", "ctr", "latest")).version != 2:
                await asyncio.sleep(0.01)
        assert loaded() == {1, 2}
        now[0] = 11.0
        await until({2})
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(body())


def test_a_slow_load_holds_up_no_other_alias(two: Api, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    publish(two, bundle, "other")
    publish(two, bundle, "other")
    import service.shelf

    real, let_go = service.shelf.open_version, threading.Event()

    def slow(registry: Any, telemetry: Any, key: Any) -> Any:
        if key == ("default", "ctr", 1):
            assert let_go.wait(300)
        return real(registry, telemetry, key)

    async def body() -> None:
        shelf = new_shelf(two)
        watch = asyncio.create_task(shelf.watch())
        await shelf.by_alias("default", "ctr", "latest")
        await shelf.by_version("default", "other", 1)
        assert (await shelf.by_alias("default", "other", "latest")).version == 2
        monkeypatch.setattr(service.shelf, "open_version", slow)
        two.services.registry.set_alias("ctr", "latest", 1)
        async with asyncio.timeout(120):
            while not shelf._loading:
                await asyncio.sleep(0.005)
        two.services.registry.set_alias("other", "latest", 1)
        async with asyncio.timeout(120):
            while (await shelf.by_alias("default", "other", "latest")).version != 1:
                await asyncio.sleep(0.005)
        assert shelf._loading  # the slow one goes on
        assert (await shelf.by_alias("default", "ctr", "latest")).version == 2
        let_go.set()
        async with asyncio.timeout(120):
            while (await shelf.by_alias("default", "ctr", "latest")).version != 1:
                await asyncio.sleep(0.01)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(body())


@EMBEDDED_AND_SHARED
def test_versions_that_traffic_names_are_loaded_ahead(two: Api) -> None:
    two.client.put("/v1/models/ctr/aliases/candidate", json={"version": 1})
    two.client.put("/v1/models/ctr/traffic", json={"split": {"shares": {"latest": 0.5, "candidate": 0.5}}})

    async def body() -> None:
        shelf = new_shelf(two)
        watch = asyncio.create_task(shelf.watch())
        async with asyncio.timeout(120):
            while len(shelf._serving) < 2:
                await asyncio.sleep(0.01)
        assert {version for _, _, version in shelf._loaded} == {1, 2}
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(body())


def test_traffic_to_a_version_that_cannot_be_served_is_refused(two: Api) -> None:
    assert two.client.put("/v1/models/ctr/aliases/candidate", json={"version": 1}).status_code == 200
    (two.services.registry.folder("ctr", 2) / "model.onnx").write_bytes(b"x")
    shares = {"latest": 0.5, "candidate": 0.5}
    problem(two.client.put("/v1/models/ctr/traffic", json={"split": {"shares": shares}}), 503, "bad_artifact")
    assert two.client.get("/v1/models/ctr/traffic").json()["split"] is None


@EMBEDDED_AND_SHARED
def test_other_processes_notice(make_api: Callable[..., Api], bundle: Path) -> None:
    first, second = make_api(), make_api()
    for _ in range(2):
        publish(first, bundle)

    def asked(api: Api) -> str:
        answer = api.client.post("/v1/models/ctr:predict", json={"instances": [ROW]})
        return str(answer.headers["x-model-version"])

    assert asked(first) == asked(second) == "2"
    assert first.client.put(ALIAS, json={"version": 1}).status_code == 200
    wait_for(lambda: asked(second) == "1", "the notice")
