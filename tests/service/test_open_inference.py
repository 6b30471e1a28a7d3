"""The Open Inference Protocol with a client of others', and what it refuses."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient import http as oip
from tritonclient.utils import InferenceServerException

from ctrfast.score import Scorer
from service.problems import ServiceError
from service.scoring.open_inference import read_infer
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem

ROWS: list[dict[str, Any]] = [{"I1": 3.0, "C1": "68fd1e64"}, {"I1": None, "C1": ""}, {"I1": 0.5, "C1": "né"}]


@pytest.fixture(scope="module")
def client(shared_api: Api) -> Iterator[oip.InferenceServerClient]:
    client = oip.InferenceServerClient(shared_api.url.removeprefix("http://"))
    yield client
    client.close()


def tensors(binary: bool) -> list[oip.InferInput]:
    numbers = oip.InferInput("I1", [3, 1], "FP32")
    values = np.array([[3.0], [np.nan if binary else 0.0], [0.5]], np.float32)
    numbers.set_data_from_numpy(values, binary_data=binary)
    texts = oip.InferInput("C1", [3, 1], "BYTES")
    texts.set_data_from_numpy(np.array([[row["C1"]] for row in ROWS], object), binary_data=binary)
    return [numbers, texts]


def test_health_and_metadata(client: oip.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("ctr")
    assert client.is_model_ready("ctr", "1")
    assert not client.is_model_ready("ctx")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    model = client.get_model_metadata("ctr", "1")
    assert model == client.get_model_metadata("ctr")
    assert (model["name"], model["versions"]) == ("ctr", ["1"])
    inputs = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in model["inputs"]}
    assert len(inputs) == 39
    assert (inputs["I1"], inputs["C26"]) == (("FP32", [-1]), ("BYTES", [-1]))
    assert [tensor["name"] for tensor in model["outputs"]] == ["probability", "calibrated"]


@pytest.mark.parametrize("binary", [False, True])
def test_scores_are_the_bundles(client: oip.InferenceServerClient, bundle: Path, binary: bool) -> None:
    rows = ROWS if binary else [ROWS[0], {**ROWS[1], "I1": 0.0}, ROWS[2]]  # a null has no place in such JSON
    expected = Scorer.load(bundle).score_rows(rows)
    wanted = [oip.InferRequestedOutput(name, binary_data=binary) for name in ("calibrated", "probability")]
    result = client.infer("ctr", tensors(binary), request_id="r-1", outputs=wanted)
    np.testing.assert_allclose(result.as_numpy("probability"), expected, atol=1e-6)
    assert result.as_numpy("calibrated").shape == (3,)
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("r-1", "ctr", "1")
    assert [output["name"] for output in answer["outputs"]] == ["calibrated", "probability"]
    assert client.infer("ctr", tensors(binary), model_version="1").as_numpy("probability").tolist() == pytest.approx(
        expected.tolist(), abs=1e-6
    )


def test_a_null_is_missing(shared_api: Api, bundle: Path) -> None:
    inputs = [{"name": "I1", "datatype": "FP32", "shape": [2], "data": [3, None]}]
    answer = shared_api.client.post("/v2/models/ctr/infer", json={"inputs": inputs}).json()
    expected = Scorer.load(bundle).score_rows([{"I1": 3}, {}])
    np.testing.assert_allclose(answer["outputs"][0]["data"], expected, atol=1e-6)
    assert [output["datatype"] for output in answer["outputs"]] == ["FP32", "FP32"]


def test_refusals_reach_the_client(client: oip.InferenceServerClient) -> None:
    wrong = oip.InferInput("Q9", [1], "FP32")
    wrong.set_data_from_numpy(np.zeros(1, np.float32))
    with pytest.raises(InferenceServerException, match="no column 'Q9'"):
        client.infer("ctr", [wrong])
    with pytest.raises(InferenceServerException, match="no model 'ctx'"):
        client.infer("ctx", tensors(True))


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "I1", "shape": [2], "datatype": "FP32", "data": [1, 2], **changes}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"inputs": [tensor(shape=[3])]}, "inputs[0].data"),
        ({"inputs": [tensor(shape=[2, 2])]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[])]}, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[-1])]}, "inputs[0].shape"),
        ({"inputs": [tensor(datatype="BOOL")]}, "inputs[0].datatype"),
        ({"inputs": [tensor(), tensor()]}, "inputs[1].name"),
        ({"inputs": [tensor(), tensor(name="C1", shape=[1], data=["a"])]}, "inputs"),
        ({"inputs": [tensor(parameters={"binary_data_size": 8})]}, "inputs[0].data"),
        ({"inputs": [tensor(data=None, parameters={"binary_data_size": 8})]}, "inputs[0].parameters.binary_data_size"),
        ({"inputs": [tensor()], "outputs": [{"name": "logit"}]}, "outputs[0].name"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [tensor(), {"name": "I2", "shape": [2]}]}, "inputs[1].datatype"),
    ],
)
def test_a_body_that_breaks_a_rule(shared_api: Api, body: dict[str, Any], path: str) -> None:
    answer = problem(shared_api.client.post("/v2/models/ctr/infer", json=body), 422, "bad_request", path)
    assert answer["error"] == answer["detail"]


def test_a_bad_value_is_named(shared_api: Api) -> None:
    body = {"inputs": [tensor(), tensor(name="I2", data=[1, "x"])]}
    problem(shared_api.client.post("/v2/models/ctr/infer", json=body), 422, "bad_data", "inputs[1].data[1]")


@pytest.mark.parametrize(
    ("datatype", "data", "shown"),
    [
        ("INT64", [1, 1.5], "INT64 takes whole numbers"),
        ("INT64", [1, 2**63], "Got 9223372036854775808."),
        ("INT8", [None, -129], "from -128 to 127. Got -129."),
        ("UINT8", [255, -1], "from 0 to 255. Got -1."),
        ("INT32", [1, True], "Got true."),
        ("FP32", [1, "2"], 'FP32 takes numbers. Got "2".'),
        ("FP64", [0.5, ["a" * 99]], '["aaa'),
    ],
)
def test_a_value_that_is_none_of_its_datatype(shared_api: Api, datatype: str, data: list[Any], shown: str) -> None:
    for name in ("I1", "C1"):
        body = {"inputs": [tensor(name=name, datatype=datatype, data=data)]}
        answer = shared_api.client.post("/v2/models/ctr/infer", json=body)
        assert shown in problem(answer, 422, "bad_data", "inputs[0].data[1]")["detail"]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("INT64", [2**63 - 1, -(2**63)]), ("UINT8", [0, 255]), ("INT8", [None, None]), ("FP32", [1, 0.5])],
)
def test_values_of_its_datatype(shared_api: Api, datatype: str, data: list[Any]) -> None:
    body = {"inputs": [tensor(datatype=datatype, data=data)]}
    assert shared_api.client.post("/v2/models/ctr/infer", json=body).status_code == 200


def test_more_rows_than_may_be(shared_api: Api) -> None:
    body = {"inputs": [tensor(shape=[10_001], data=[0] * 10_001)]}
    problem(shared_api.client.post("/v2/models/ctr/infer", json=body), 413, "too_large")


@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 100), st.binary(max_size=8))
def test_binary_texts(texts: list[str], cut: int, more: bytes) -> None:
    raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    parameters = {"binary_data_size": len(raw)}
    inputs = [{"name": "a", "shape": [len(texts)], "datatype": "BYTES", "parameters": parameters}]
    head = json.dumps({"inputs": inputs}).encode()
    request = read_infer(head + raw, str(len(head)), 100)
    assert (request.columns, request.rows) == ({"a": texts}, len(texts))
    damaged = head + raw[: max(0, len(raw) - 1 - cut)] + more
    if len(damaged) != len(head + raw):
        with pytest.raises(ServiceError):
            read_infer(damaged, str(len(head)), 100)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "999999", "9" * 5000])
def test_a_bad_length_of_the_json(shared_api: Api, length: str) -> None:
    response = shared_api.client.post(
        "/v2/models/ctr/infer", content=b'{"inputs": []}', headers={"Inference-Header-Content-Length": length}
    )
    problem(response, 422, "bad_request")
