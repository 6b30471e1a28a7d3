"""The registry and online scoring over real HTTP, with a model that was trained and exported."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctrfast.schema import preset
from ctrfast.score import Scorer
from tests.service.conftest import Api, publish, wait_for
from tests.service.test_api_jobs import problem

ROW = {"I1": 3, "C1": "68fd1e64"}


@pytest.fixture
def serving(api: Api, bundle: Path) -> Api:
    publish(api, bundle)
    return api


@pytest.fixture
def raw_rows(raw_file: Path) -> list[dict[str, Any]]:
    """Raw impressions as JSON rows."""
    columns = preset("criteo").columns
    with gzip.open(raw_file, "rt") as file:
        lines = [next(file).rstrip("\n").split("\t") for _ in range(200)]
    return [{name: value or None for name, value in zip(columns[1:], line[1:], strict=True)} for line in lines]


def test_model_status(serving: Api) -> None:
    model = serving.client.get("/v1/models/ctr").json()
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert model["model_version_status"] == [status]
    assert model["aliases"] == {"latest": 1}
    assert serving.client.get("/v1/models/ctr/versions/1").json()["model_version_status"] == [status]
    assert [entry["name"] for entry in serving.client.get("/v1/models").json()["models"]] == ["ctr"]
    problem(serving.client.get("/v1/models/ctx"), 404, "not_found")
    body = problem(serving.client.get("/v1/models/ctr/versions/2"), 404, "not_found")
    assert body["detail"] == "The model 'ctr' has no version 2."
    assert serving.client.get("/v1/models/ctr/versions/0").status_code == 422


def test_a_version_whose_folder_is_gone_is_not_available(serving: Api, bundle: Path) -> None:
    publish(serving, bundle)
    shutil.rmtree(serving.services.registry.folder("ctr", 1))
    statuses = serving.client.get("/v1/models/ctr").json()["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in statuses] == [("2", "AVAILABLE"), ("1", "END")]
    gone = {"error_code": "NOT_FOUND", "error_message": "The version's files are missing."}
    assert statuses[1]["status"] == gone
    assert serving.client.get("/v1/models/ctr/versions/1").json()["model_version_status"] == [statuses[1]]
    problem(serving.client.post("/v1/models/ctr/versions/1:predict", json={"instances": [ROW]}), 503, "bad_artifact")


def test_rest_scores_are_the_bundles(shared_api: Api, bundle: Path, raw_rows: list[dict[str, Any]]) -> None:
    expected = Scorer.load(bundle).score_rows(raw_rows)
    for route in (":predict", "/versions/1:predict", "/labels/latest:predict"):
        response = shared_api.client.post(f"/v1/models/ctr{route}", json={"instances": raw_rows})
        assert response.headers["x-model-version"] == "1"
        np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)
    columns = {name: [row[name] for row in raw_rows] for name in raw_rows[0]}
    outputs = shared_api.client.post("/v1/models/ctr:predict", json={"inputs": columns}).json()["outputs"]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_absent_null_and_unseen_values(shared_api: Api) -> None:
    rows = [{}, {"I1": None, "C1": None}, {"C1": "never-seen"}, {"I1": "3", "C1": 5}]
    predictions = shared_api.client.post("/v1/models/ctr:predict", json={"instances": rows}).json()["predictions"]
    assert predictions[0] == predictions[1]
    assert all(0 < value < 1 for value in predictions)
    assert shared_api.client.post("/v1/models/ctr:predict", json={"instances": []}).json() == {"predictions": []}


def test_one_context_many_candidates(shared_api: Api, bundle: Path) -> None:
    context, candidates = {"I1": 3, "C1": "x"}, [{"C2": "a"}, {"C1": "y", "C2": None}, {}]
    answer = shared_api.client.post(
        "/v1/score", json={"model": "ctr", "context": context, "candidates": candidates}
    ).json()
    expected = Scorer.load(bundle).score_rows([{**context, **candidate} for candidate in candidates])
    assert (answer["model"], answer["version"]) == ("ctr", 1)
    np.testing.assert_allclose([score["probability"] for score in answer["scores"]], expected, atol=1e-6)
    mended = Scorer.load(bundle).calibrate(expected)
    np.testing.assert_allclose([score["calibrated"] for score in answer["scores"]], mended, atol=1e-6)
    assert (answer["unseen"]["C1"], answer["unseen"]["C2"], answer["unseen"]["C3"]) == (3, 1, 0)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"instances": [ROW, {"Q9": 1}]}, "instances[1].Q9"),
        ({"instances": [ROW, {"I1": "many"}]}, "instances[1].I1"),
        ({"instances": [{"C1": ["x"]}]}, "instances[0].C1"),
        ({"instances": [{"C1": True}]}, "instances[0].C1"),
        ({"inputs": {"C1": ["a", "b"], "I1": [1, "x"]}}, "inputs.I1[1]"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(shared_api: Api, body: dict[str, Any], path: str) -> None:
    problem(shared_api.client.post("/v1/models/ctr:predict", json=body), 422, "bad_data", path)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"context": {"I1": "x"}, "candidates": [{}]}, "context.I1"),
        ({"candidates": [{}, {"I1": "x"}]}, "candidates[1].I1"),
        ({"context": {"I1": 1}, "candidates": [{}, {"I1": "x"}]}, "candidates[1].I1"),
    ],
)
def test_a_wrong_candidate_is_named(shared_api: Api, body: dict[str, Any], path: str) -> None:
    problem(shared_api.client.post("/v1/score", json={"model": "ctr", **body}), 422, "bad_data", path)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{}", 422, "bad_request"),
        (b'{"instances": [], "inputs": {}}', 422, "bad_request"),
        (b'{"instances": [3]}', 422, "bad_request"),
        (b'{"instances": {"I1": 3}}', 422, "bad_request"),
        (b'{"inputs": {"C1": ["a"], "C2": ["a", "b"]}}', 422, "bad_request"),
        (b'{"instances": [], "surprise": 1}', 422, "bad_request"),
        (b'{"instances": [{"I1": NaN}]}', 400, "malformed_json"),
        (b'{"instances": [{"I1": 1e999}]}', 422, "bad_request"),
        (b'{"instances": [{"I1": 1' + b"0" * 400 + b"}]}", 422, "bad_data"),
        (b'{"instances": ' + b"[" * 200_000, 422, "bad_request"),
        (b'{"instances": [{"C1": ' + b"[" * 200_000, 400, "malformed_json"),
        (b'{"instances": [{"C1": "\xff"}]}', 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b'{"instances": [' + b"{}," * 10_000 + b"{}]}", 413, "too_large"),
    ],
)
def test_hostile_bodies(shared_api: Api, content: bytes, status: int, code: str) -> None:
    response = shared_api.client.post("/v1/models/ctr:predict", content=content)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert shared_api.client.post("/v1/models/ctr:predict", json={"instances": [ROW]}).status_code == 200


@pytest.mark.parametrize(
    "route", ["none:predict", "ctr/versions/9:predict", "ctr/labels/none:predict", "a%2Fb:predict"]
)
def test_unknown_models(shared_api: Api, route: str) -> None:
    assert shared_api.client.post(f"/v1/models/{route}", json={"instances": [ROW]}).status_code == 404


@pytest.mark.parametrize(
    ("named", "status", "code", "path"),
    [
        ({"model": "ctx"}, 404, "not_found", "model"),
        ({"model": "a/b"}, 404, "not_found", "model"),
        ({"model": "ctx", "version": 1}, 404, "not_found", "model"),
        ({"version": 7}, 404, "not_found", "version"),
        ({"alias": "x"}, 404, "not_found", "alias"),
        ({"alias": "a/b"}, 404, "not_found", "alias"),
        ({"version": 0}, 422, "bad_request", "version"),
        ({"version": 10**12}, 422, "bad_request", "version"),
        ({"version": 1, "alias": "latest"}, 422, "bad_request", "version"),
    ],
)
def test_a_score_request_is_refused_as_a_predict_request_is(
    shared_api: Api, named: dict[str, Any], status: int, code: str, path: str
) -> None:
    body = {"model": "ctr", "candidates": [ROW], **named}
    told = problem(shared_api.client.post("/v1/score", json=body), status, code, path)
    if len(named) == 1:  # `:predict` names the same in its path
        model = named.get("model", "ctr").replace("/", "%2F")
        rest = "".join(
            f"/{'versions' if key == 'version' else 'labels'}/{str(value).replace('/', '%2F')}"
            for key, value in named.items()
            if key != "model"
        )
        other = shared_api.client.post(f"/v1/models/{model}{rest}:predict", json={"instances": [ROW]})
        assert other.status_code == status
        if "/" not in str(named):  # the path of a URL with an escaped slash is another route's
            assert other.json()["detail"] == told["detail"]


def test_promote_and_roll_back(serving: Api, bundle: Path) -> None:
    def predict() -> str:
        response = serving.client.post("/v1/models/ctr:predict", json={"instances": [ROW]})
        return response.headers["x-model-version"]

    assert predict() == "1"
    assert publish(serving, bundle) == 2
    wait_for(lambda: predict() == "2", "the new version")  # another process published it
    answer = serving.client.put("/v1/models/ctr/aliases/latest", json={"version": 1})
    assert answer.json() == {"model": "ctr", "alias": "latest", "version": 1}
    assert predict() == "1"  # at once: the alias was moved through this process
    serving.client.put("/v1/models/ctr/aliases/stable", json={"version": 2})
    label = serving.client.post("/v1/models/ctr/labels/stable:predict", json={"instances": [ROW]})
    assert label.headers["x-model-version"] == "2"
    problem(serving.client.put("/v1/models/ctr/aliases/latest", json={"version": 3}), 404, "not_found")
    for version in ("x", True, "1", 1.5):
        answer = serving.client.put("/v1/models/ctr/aliases/latest", json={"version": version})
        problem(answer, 422, "bad_request", "version")


def break_version(api: Api, version: int) -> None:
    weights = api.services.registry.folder("ctr", version) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")


def test_a_bundle_with_a_changed_byte_is_never_served(serving: Api, bundle: Path) -> None:
    publish(serving, bundle)
    break_version(serving, 2)
    problem(serving.client.post("/v1/models/ctr/versions/2:predict", json={"instances": [ROW]}), 503, "bad_artifact")
    problem(serving.client.put("/v1/models/ctr/aliases/latest", json={"version": 2}), 503, "bad_artifact")
    answer = serving.client.post("/v1/models/ctr:predict", json={"instances": [ROW]})
    body = problem(answer, 503, "bad_artifact")
    assert str(serving.services.settings.home_dir) not in body["detail"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 10


def test_a_version_whose_load_was_refused_is_not_available(serving: Api, bundle: Path) -> None:
    publish(serving, bundle)
    break_version(serving, 2)
    answer = serving.client.post("/v1/models/ctr/versions/2:predict", json={"instances": [ROW]})
    detail = problem(answer, 503, "bad_artifact")["detail"]
    refused = {"version": "2", "state": "END", "status": {"error_code": "UNAVAILABLE", "error_message": detail}}
    model = serving.client.get("/v1/models/ctr").json()
    assert model["model_version_status"][0] == refused
    assert model["model_version_status"][1]["state"] == "AVAILABLE"
    for route in ("ctr/versions/2", "ctr/labels/latest"):
        assert serving.client.get(f"/v1/models/{route}").json()["model_version_status"] == [refused]
    assert serving.client.get("/v1/models").json()["models"][0]["model_version_status"][0] == refused
    folder = serving.services.registry.folder("ctr", 2)
    shutil.rmtree(folder)
    shutil.copytree(bundle, folder)
    assert serving.client.put("/v1/models/ctr/aliases/stable", json={"version": 2}).status_code == 200
    statuses = serving.client.get("/v1/models/ctr").json()["model_version_status"]
    assert [status["state"] for status in statuses] == ["AVAILABLE", "AVAILABLE"]


def test_a_broken_version_does_not_replace_one_that_serves(serving: Api, bundle: Path, tmp_path: Path) -> None:
    assert serving.client.post("/v1/models/ctr:predict", json={"instances": [ROW]}).headers["x-model-version"] == "1"
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "model.onnx").write_bytes(b"x")
    publish(serving, broken)
    import time

    time.sleep(0.6)  # several looks at the aliases
    assert serving.client.post("/v1/models/ctr:predict", json={"instances": [ROW]}).headers["x-model-version"] == "1"


def test_no_request_fails_while_versions_are_swapped(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api(max_loaded_models=2)
    for _ in range(3):
        publish(api, bundle)
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        import httpx

        with httpx.Client(base_url=api.url, timeout=120) as client:
            while not stop.is_set():
                response = client.post("/v1/score", json={"model": "ctr", "candidates": [ROW] * 3})
                if response.status_code != 200 or len(response.json()["scores"]) != 3:
                    failures.append(response.text)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in (1, 2, 3, 1, 3, 2):
        assert api.client.put("/v1/models/ctr/aliases/latest", json={"version": version}).status_code == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_scores_are_counted(serving: Api) -> None:
    serving.client.post("/v1/models/ctr:predict", json={"instances": [{"C1": "never-seen"}, {}]})
    text = serving.client.get("/metrics").text
    assert 'ctrfast_scored_rows_total{model="ctr"} 2.0' in text
    assert 'ctrfast_unseen_values_total{field="C1",model="ctr"} 1.0' in text
    assert 'ctrfast_jobs{state="cancelled"} 1.0' in text
    assert 'route="/v1/models/{name}:predict",status="200"' in text
