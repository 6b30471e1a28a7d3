"""A whole service on this machine's loopback: two Ray nodes, PostgreSQL, S3, two API processes and two workers."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from ctrfast.data.shards import Dataset
from ctrfast.store.address import Address
from ctrfast.store.artefacts import opened, publish
from ctrfast.store.objects import connect
from tests import tiny_clicks
from tests.cluster.connections import peers_of, strangers_among
from tests.cluster.ray_nodes import RayNodes, ray_nodes
from tests.service.conftest import database_url, postgres, wait_for  # noqa: F401 - fixtures
from tests.store.conftest import server, store  # noqa: F401 - fixtures

pytestmark = pytest.mark.timeout(1200)
ROWS, TEST_ROWS, STEPS = 4500, 900, 40
SPEC = {**tiny_clicks.SETTINGS, "dataset": "tiny", "cluster": {"workers": 2}, "publish_as": "tiny"}
FINAL = {"succeeded", "failed", "cancelled"}
LOOK_S = 0.5


@contextmanager
def part(name: str, home: Path, environment: Mapping[str, str], *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process of the service, with a HOME of its own; its log is beside that."""
    command = [sys.executable, "-m", "service.cli", name, *options]
    own = {**environment, "CTRFAST_HOME": str(home)}
    with (
        home.with_suffix(".log").open("w") as log,
        subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()


def url_of(api: subprocess.Popen[str]) -> str:
    """Where an API says that it serves."""
    assert api.stdout is not None
    line = api.stdout.readline()
    assert line.startswith("ctrfast serves its API at "), line
    return f"http://{line.split()[-1]}"


def job_of(api: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = api.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of pairs of a click and a non-click that are in the right order; ties count half."""
    differences = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float(np.mean((differences > 0) + 0.5 * (differences == 0)))


def instances() -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Labels of the test rows, and the rows as a request has them."""
    labels, numbers, a, b = tiny_clicks.learnable(ROWS)
    rows = zip(numbers[-TEST_ROWS:], a[-TEST_ROWS:], b[-TEST_ROWS:], strict=True)
    return labels[-TEST_ROWS:], [{"n": round(float(n), 3), "a": f"a{i}", "b": f"b{j}"} for n, i, j in rows]


def watched(
    api: httpx.Client, job_id: str, nodes: RayNodes, ours: list[psutil.Process]
) -> tuple[dict[str, Any], dict[int, set[int]], set[tuple[str, str]]]:
    """A job's end; until then, where Ray Train's workers were and whom all processes talked to."""
    trainers: dict[int, set[int]] = {}
    peers: set[tuple[str, str]] = set()
    while (job := job_of(api, job_id))["state"] not in FINAL:
        for raylet, pids in nodes.trainers().items():
            trainers.setdefault(raylet, set()).update(pids)
        for process in ours:
            peers |= peers_of(process)
        time.sleep(LOOK_S)
    return job, trainers, peers


def events_of(api: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    """All events of a job that has ended."""
    found: list[dict[str, Any]] = []
    page = {"after": 0, "finished": False}
    while not page["finished"]:
        asked = {"after": page["after"], "limit": 50}
        answer = api.get(f"/v1/jobs/{job_id}/events", params=asked, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["events"]
    return found


def worker_of(api: httpx.Client, job_id: str) -> str:
    """The worker that has done a job in its only attempt."""
    (worker,) = (event["data"]["worker"] for event in events_of(api, job_id) if "worker" in event["data"])
    return str(worker)


def look_at_events(api: httpx.Client, job_id: str, run: Address) -> None:
    """What the two workers did reached the job's events: all moves, progress, metrics and lines of their logs."""
    events = events_of(api, job_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    said = {
        kind: [event["data"] for event in events if event["type"] == kind]
        for kind in ("state", "progress", "metric", "log")
    }
    assert [data["state"] for data in said["state"]] == ["queued", "running", "succeeded"]

    shares = [data["progress"] for data in said["progress"]]
    assert shares == sorted(shares) and 0 < shares[-1] <= 1
    steps = [data["step"] for data in said["progress"] if data.get("stage") == "train"]
    assert steps and max(steps) <= STEPS and {data.get("total_steps", STEPS) for data in said["progress"]} == {STEPS}

    with opened(run) as folder:
        written = tiny_clicks.records(folder)
    losses = {record["step"]: record["loss"] for record in written if record["kind"] == "train"}
    told = {data["step"]: data["loss"] for data in said["metric"] if "loss" in data}
    assert set(told.values()) <= set(losses.values())
    ends = range(STEPS // 4, STEPS + 1, STEPS // 4)  # of epochs: progress is told then, and twice a second
    assert [told[step] for step in ends] == [losses[step] for step in ends]
    series = api.get(f"/v1/jobs/{job_id}/metrics", params={"names": "loss,valid_auc"}).json()["series"]
    assert {record["step"]: record["loss"] for record in series if "loss" in record} == told
    assert {record["valid_auc"] for record in series if "valid_auc" in record} == {
        record["auc"] for record in written if record.get("split") == "valid"
    }

    lines = [data["line"] for data in said["log"]]
    assert any("pid=" in line for line in lines), lines  # Ray tells which of its processes has printed a line
    assert api.get(f"/v1/jobs/{job_id}/logs").text == "".join(f"{line}\n" for line in lines[:500])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_is_trained_on_two_nodes_and_scored_by_two_apis(
    database_url: str,  # noqa: F811
    store: str,  # noqa: F811
    tiny_dataset: Dataset,
    tmp_path: Path,
) -> None:
    publish(tiny_dataset.path, Address.parse(f"{store}/data/tiny"))
    connect().upload(tiny_dataset.path.parent / "clicks.tsv", Address.parse(f"{store}/data/clicks.tsv"))
    token = secrets.token_hex(32)
    with ExitStack() as stack:
        nodes = stack.enter_context(ray_nodes(2, token))
        environment = {
            **os.environ,  # with the store's address and key
            "CTRFAST_DATABASE_URL": database_url,
            "CTRFAST_ARTIFACTS": f"{store}/service",
            "CTRFAST_DATA_ROOTS": f"{store}/data",
            "CTRFAST_RAY_ADDRESS": nodes.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "AWS_EC2_METADATA_DISABLED": "true",  # else the S3 client asks a cloud's metadata service for its region
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it asks for the host's own network address
        }
        migrate = [sys.executable, "-m", "service.cli", "migrate"]
        subprocess.run(migrate, env={**environment, "CTRFAST_HOME": str(tmp_path / "setup")}, check=True, timeout=240)
        apis, workers = (
            [stack.enter_context(part(name, tmp_path / f"{name}{n}", environment, *options)) for n in (1, 2)]
            for name, options in (("api", ("--port", "0")), ("worker", ()))
        )
        one, two = (stack.enter_context(httpx.Client(base_url=url_of(api), timeout=240)) for api in apis)
        known = one.post("/v1/datasets", json={"name": "tiny", "path": f"{store}/data/tiny"})
        assert known.status_code == 201, known.text
        trained = one.post("/v1/jobs", json={"kind": "train", "spec": SPEC}).json()["id"]
        wait_for(lambda: job_of(two, trained)["state"] == "running", "the training's start")
        ours = [nodes.program, *(psutil.Process(process.pid) for process in (*apis, *workers))]
        watch = stack.enter_context(ThreadPoolExecutor(1)).submit(watched, one, trained, nodes, ours)
        prepare = {"raw": [f"{store}/data/clicks.tsv"], "schema": tiny_clicks.SCHEMA.model_dump(mode="json")}
        made = two.post("/v1/datasets", json={"name": "again", "prepare": prepare}).json()["id"]
        wait_for(lambda: job_of(two, made)["state"] in FINAL, "the preparation's end", 400)
        assert job_of(two, made)["state"] == "succeeded", job_of(two, made)
        job, trainers, peers = watch.result()
        assert len({worker_of(two, job_id) for job_id in (trained, made)}) == 2
        assert job["state"] == "succeeded", job
        assert [len(pids) for pids in trainers.values()] == [1, 1]  # one on each node, and none was lost
        look_at_events(two, trained, Address.parse(f"{store}/service/jobs/{trained}/run"))
        assert peers
        assert not strangers_among(peers)

        labels, rows = instances()
        answers = [api.post("/v1/models/tiny:predict", json={"instances": rows}) for api in (one, two)]
        assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
        assert answers[0].json() == answers[1].json()
        auc = area_under_curve(labels, np.array(answers[0].json()["predictions"]))
        assert auc == pytest.approx(job["metrics"]["test_auc"], abs=1e-4)
        assert auc > 0.6  # it has learned something
        for api in (one, two):
            assert [each["version"] for each in api.get("/v1/models/tiny").json()["model_version_status"]] == ["1"]
    assert not [process for process in ours if process.is_running()]
