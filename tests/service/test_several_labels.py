"""Models of several labels over REST: each label's probability in every form of answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.client import AsyncClient, Client
from ctrfast.client.calls import Predictions
from ctrfast.score import Scorer
from service.scoring.arrow_bodies import MEDIA_TYPE
from tests import two_labels
from tests.service.conftest import Api, publish, quick_settings
from tests.service.test_api_jobs import problem

ROWS = [{"n": 0.5, "a": "a1", "b": "b2"}, {"n": -1, "a": "a3", "b": None}, {"a": "new"}]


@pytest.fixture(scope="module")
def two_label_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_labels.make_bundle(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def api(two_label_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(quick_settings(tmp_path_factory.mktemp("home") / "home"))
    publish(api, two_label_bundle)
    yield api
    api.close()


@pytest.fixture(scope="module")
def expected(two_label_bundle: Path) -> np.ndarray:
    scorer = Scorer.load(two_label_bundle)
    found = scorer.predict(scorer.encoder.encode_rows(ROWS))
    assert found.shape == (3, 2)
    return found


def test_score_names_each_labels_probability(api: Api, two_label_bundle: Path, expected: np.ndarray) -> None:
    answer = api.client.post("/v1/score", json={"model": "ctr", "candidates": ROWS}).json()
    for score, row in zip(answer["scores"], expected, strict=True):
        assert list(score["probabilities"]) == ["click", "buy"]
        np.testing.assert_allclose(list(score["probabilities"].values()), row, atol=1e-6)
        assert score["probability"] == score["probabilities"]["click"]
    mended = Scorer.load(two_label_bundle).calibrate(expected[:, 0])
    np.testing.assert_allclose([score["calibrated"] for score in answer["scores"]], mended, atol=1e-6)
    with Client(api.url) as client:
        scores = client.score("ctr", ROWS).scores
    assert scores[0].probabilities == answer["scores"][0]["probabilities"]


def test_predictions_are_lists(api: Api, expected: np.ndarray) -> None:
    answer = api.client.post("/v1/models/ctr:predict", json={"instances": ROWS}).json()
    np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)
    columns = {name: [row.get(name) for row in ROWS] for name in ("n", "a", "b")}
    answer = api.client.post("/v1/models/ctr:predict", json={"inputs": columns}).json()
    np.testing.assert_allclose(answer["outputs"], expected, atol=1e-6)
    headers = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    response = api.client.post("/v1/models/ctr:predict", content=sink.getvalue().to_pybytes(), headers=headers)
    stream = pa.ipc.open_stream(response.content).read_all()
    np.testing.assert_allclose(stream["probabilities"].to_pylist(), expected, atol=1e-6)
    np.testing.assert_allclose(stream["probability"], expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("is_async", [False, True])
def test_the_clients_predictions_are_those_of_the_answer(
    api: Api, shared_api: Api, expected: np.ndarray, is_async: bool
) -> None:
    def predict(url: str, rows: list[dict[str, Any]]) -> Predictions:
        async def awaited() -> Predictions:
            async with AsyncClient(url) as client:
                return await client.predict("ctr", rows)

        if is_async:
            return asyncio.run(awaited())
        with Client(url) as client:
            return client.predict("ctr", rows)

    of_two = predict(api.url, ROWS)
    assert [[type(value) for value in row] for row in of_two] == [[float, float]] * 3
    np.testing.assert_allclose(of_two, expected, atol=1e-6)
    assert [type(value) for value in predict(shared_api.url, [{"C1": "a"}, {}])] == [float, float]


def test_inference_has_a_tensor_of_all_labels(api: Api, expected: np.ndarray) -> None:
    model = api.client.get("/v2/models/ctr").json()
    assert model["outputs"][-1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}
    inputs = [{"name": "a", "datatype": "BYTES", "shape": [3], "data": [row["a"] for row in ROWS]}]
    inputs.append({"name": "b", "datatype": "BYTES", "shape": [3], "data": ["b2", "", ""]})
    inputs.append({"name": "n", "datatype": "FP32", "shape": [3], "data": [0.5, -1, None]})
    answer = api.client.post("/v2/models/ctr/infer", json={"inputs": inputs}).json()
    tensors = {tensor["name"]: tensor for tensor in answer["outputs"]}
    assert list(tensors) == ["probability", "calibrated", "probabilities"]
    assert tensors["probabilities"]["shape"] == [3, 2]
    np.testing.assert_allclose(np.reshape(tensors["probabilities"]["data"], (3, 2)), expected, atol=1e-6)
    np.testing.assert_allclose(tensors["probability"]["data"], expected[:, 0], atol=1e-6)
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    response = api.client.post("/v2/models/ctr/infer", json={"inputs": inputs, "outputs": wanted})
    head = int(response.headers["inference-header-content-length"])
    found = np.frombuffer(response.content[head:], "<f4").reshape(3, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tensorflow_servings_signature_has_two_dimensions(api: Api) -> None:
    signatures = api.client.get("/v1/models/ctr/metadata").json()["metadata"]["signature_def"]["signature_def"]
    outputs = signatures["serving_default"]["outputs"]
    assert list(outputs) == ["probabilities"]
    assert len(outputs["probabilities"]["tensor_shape"]["dim"]) == 2


def test_a_model_of_one_label_has_no_tensor_of_several(shared_api: Api) -> None:
    body = {"inputs": [{"name": "C1", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}
    body |= {"outputs": [{"name": "probability"}, {"name": "probabilities"}]}
    response = shared_api.client.post("/v2/models/ctr/infer", json=body)
    problem(response, 422, "bad_request", "outputs[1].name")
    answer = shared_api.client.post("/v1/score", json={"model": "ctr", "candidates": [{"C1": "a"}]}).json()
    assert list(answer["scores"][0]) == ["probability", "calibrated"]


def test_traffic_may_not_be_split_by_a_label(api: Api) -> None:
    body = {"split": {"shares": {"latest": 1.0}, "by": "buy"}}
    response = api.client.put("/v1/models/ctr/traffic", json=body)
    assert response.status_code == 422
    assert "Choose one of: n, a, b" in response.json()["detail"]
