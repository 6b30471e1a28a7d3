"""Arrow IPC streams in place of JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.score import Scorer
from service.problems import ServiceError
from service.scoring.arrow_bodies import MEDIA_TYPE, read_stream
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem

ARROW = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=2)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_scores_are_the_bundles(shared_api: Api, bundle: Path) -> None:
    columns = {"I1": [3, None, 5], "I2": [0.5, 1.5, None], "C1": ["68fd1e64", None, "x"], "C2": ["a", "a", None]}
    table = pa.table({**columns, "C2": pa.array(columns["C2"]).dictionary_encode()})
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    response = shared_api.client.post("/v1/models/ctr:predict", content=stream(table), headers=ARROW)
    assert response.headers["content-type"] == MEDIA_TYPE
    answer = pa.ipc.open_stream(response.content).read_all()
    np.testing.assert_allclose(answer["probability"], Scorer.load(bundle).score_rows(rows), atol=1e-6)
    assert answer.schema.metadata == {b"model": b"ctr", b"version": b"1"}
    as_json = shared_api.client.post(
        "/v1/models/ctr:predict", content=stream(table), headers={"Content-Type": MEDIA_TYPE}
    ).json()
    np.testing.assert_allclose(as_json["predictions"], answer["probability"], atol=1e-7)


def test_refusals_name_the_value(shared_api: Api) -> None:
    def refused(table: pa.Table, status: int, code: str, path: str | None = None) -> None:
        response = shared_api.client.post("/v1/models/ctr:predict", content=stream(table), headers=ARROW)
        problem(response, status, code, path)

    refused(pa.table({"I1": [1, 2], "Q9": ["a", "b"]}), 422, "bad_data", "Q9[0]")
    refused(pa.table({"I1": [1.0, float("nan")]}), 422, "bad_data", "I1[1]")
    refused(pa.table({"I1": pa.array([1, 2], pa.timestamp("s"))}), 422, "bad_request", "I1")
    refused(pa.table({"I1": list(range(10_001))}), 413, "too_large")
    response = shared_api.client.post("/v1/models/ctr:predict", content=b"no stream", headers=ARROW)
    problem(response, 400, "malformed_json")


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.list_view(pa.string()), pa.binary(), pa.struct([("x", pa.int8())])]
)
def test_what_could_show_the_same_bytes_often_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(ServiceError, match="has the type"):
        read_stream(stream(pa.table({"a": pa.nulls(2, kind)})), 10)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("encoded", [False, True])
def test_compressed_streams_are_refused(codec: str, encoded: bool) -> None:
    column = pa.array(["a" * 1000] * 5)
    table = pa.table({"a": column.dictionary_encode() if encoded else column})
    assert read_stream(stream(table), 10)[1] == 5
    with pytest.raises(ServiceError, match="is compressed"):
        read_stream(stream(table, compression=codec), 10)


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_damaged_streams_are_refused_or_read(at: int, change: bytes) -> None:
    whole = stream(pa.table({"a": ["x", None, "yy"], "n": [1.0, 2.0, None], "l": [["a"], [], None]}))
    at %= len(whole)
    try:
        columns, rows = read_stream(whole[:at] + change + whole[at + len(change) :], 10)
    except ServiceError:
        return
    assert all(len(values) == rows for values in columns.values())
