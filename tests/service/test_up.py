"""The whole service as its users start it: `ctrfast-service up`, real training and kills; in HOME, and on servers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.service.conftest import fill_data_root, new_database, wait_for
from tests.service.test_api_models import raw_rows  # noqa: F401 - a fixture
from tests.service.test_worker import is_gone
from tests.store.conftest import BUCKET, environment_of

LONG = {"epochs": 10_000, "log_every_steps": 1}
SMALL = {"batch_size": 200, "model": {"name": "deepfm", "hidden": [8], "embedding_dim": 4}, "seed": 1}


class Up:
    """A running `ctrfast-service up`. backing: more of its environment."""

    def __init__(self, home: Path, backing: Mapping[str, str] | None = None) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")},
            "CTRFAST_HOME": str(home),
            "CTRFAST_LEASE_S": "15",  # more than a machine that is shared stands still
            "CTRFAST_HEARTBEAT_S": "0.2",
            "CTRFAST_MAX_ATTEMPTS": "2",
            "CTRFAST_ALIAS_REFRESH_S": "0.2",
            **(backing or {}),
        }
        command = [sys.executable, "-m", "service.cli", "up", "--port", "0"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"ctrfast is ready at (http://127\.0\.0\.1:\d+)", line)
        assert found is not None, line
        self.client = httpx.Client(base_url=found.group(1), timeout=120)

    def children(self) -> dict[str, psutil.Process]:
        """Processes below `up` by what they are: `api`, `worker`, `runner`."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            for name in ("api", "worker"):
                if "service.cli" in line and name in line:
                    found[name] = process
            if "service.runner" in line:
                found["runner"] = process
        return found

    def close(self) -> None:
        """End the service where it still runs."""
        self.client.close()
        self.process.terminate()
        self.process.wait(timeout=180)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def submit(self, kind: str, **spec: Any) -> str:
        response = self.client.post("/v1/jobs", json={"kind": kind, "spec": spec})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.client.get(f"/v1/jobs/{job_id}").json()
        return job

    def ended(self, job_id: str) -> dict[str, Any]:
        final = ("succeeded", "failed", "cancelled")
        job: dict[str, Any] = wait_for(
            lambda: (found := self.job(job_id))["state"] in final and found, f"the end of {job_id}", 400
        )
        return job

    def succeeded(self, job_id: str) -> dict[str, Any]:
        job = self.ended(job_id)
        assert job["state"] == "succeeded", (job, self.client.get(f"/v1/jobs/{job_id}/logs").text[-2000:])
        return job

    def is_training(self, job_id: str, attempt: int) -> None:
        """Wait until an attempt has made progress."""
        wait_for(
            lambda: (found := self.job(job_id))["attempt"] == attempt and found["progress"] > 0,
            f"attempt {attempt}",
            400,
        )


@pytest.fixture(scope="module", params=["home", "postgresql+s3"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a service with all of its own in HOME, and of one with PostgreSQL and an object store."""
    if request.param == "home":
        yield {}
        return
    server, cache = request.getfixturevalue("server"), tmp_path_factory.mktemp("cache")
    with new_database(request.getfixturevalue("postgres"), is_empty=True) as url:
        ours = {"CTRFAST_DATABASE_URL": url, "CTRFAST_ARTIFACTS": f"s3://{BUCKET}/{cache.name}"}
        yield {**environment_of(server, cache), **ours}


@pytest.fixture(scope="module")
def up(
    servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path
) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("up") / "home"
    fill_data_root(home, dataset, raw_file)
    service = Up(home, servers)
    yield service
    service.client.close()
    if service.process.poll() is None:
        service.process.kill()
    service.process.wait()
    assert service.process.stdout is not None
    service.process.stdout.close()


def api_holds_no_tensorflow(up: Up) -> bool:
    maps = Path(f"/proc/{up.children()['api'].pid}/maps").read_text()
    assert "onnxruntime" in maps
    return "tensorflow" not in maps


def test_the_api_process_holds_no_tensorflow(up: Up) -> None:
    assert api_holds_no_tensorflow(up)


def test_it_is_ready_with_a_worker_alone(up: Up) -> None:
    assert up.client.get("/readyz").json()["checks"]["worker"] == "ok"
    assert up.children()["api"].environ()["CTRFAST_REQUIRE_WORKER"] == "1"


def test_prepare_train_publish_score_evaluate(
    up: Up,
    servers: dict[str, str],
    raw_rows: list[dict[str, Any]],  # noqa: F811
) -> None:
    body = {
        "name": "small",
        "prepare": {"raw": ["clicks.tsv.gz"], "preset": "criteo", "min_count": 2, "split": "sequential"},
    }
    prepared = up.succeeded(up.client.post("/v1/datasets", json=body).json()["id"])
    assert prepared["result"]["dataset"] == "small"
    assert up.client.get("/v1/datasets/small").json()["rows"] == prepared["result"]["report"]["rows"]

    train = up.submit("train", dataset="small", epochs=2, publish_as="ctr", **SMALL)
    seen = []
    with up.client.stream("GET", f"/v1/jobs/{train}/events", timeout=400) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["state"] for event in seen if "state" in event] == ["queued", "running", "succeeded"]
    job = up.succeeded(train)
    assert (job["result"]["model"], job["result"]["version"], job["result"]["published"]["alias"]) == (
        "ctr",
        1,
        "latest",
    )
    assert {"test_auc", "test_log_loss", "valid_auc"} <= set(job["metrics"])
    assert up.client.get(f"/v1/jobs/{train}/metrics").json()["series"]

    predictions = up.client.post("/v1/models/ctr:predict", json={"instances": raw_rows}).json()["predictions"]
    assert len(predictions) == len(raw_rows)
    assert api_holds_no_tensorflow(up)  # nor after a model was loaded and asked
    scored = up.succeeded(up.submit("score", model="ctr", inputs=["clicks.tsv.gz"], out="s.parquet"))
    assert scored["result"]["rows"] == 3000
    content = up.client.get(f"/v1/jobs/{scored['id']}/outputs/s.parquet").content
    scores = pq.read_table(pa.BufferReader(content)).column("score").to_numpy()
    np.testing.assert_allclose(scores[: len(predictions)], predictions, atol=1e-5)

    figures = up.succeeded(up.submit("evaluate", dataset="small", model="ctr", version=1))["metrics"]
    assert figures["test_auc"] == pytest.approx(job["metrics"]["test_auc"], abs=1e-6)
    home = Path(up.children()["worker"].environ()["CTRFAST_HOME"])
    in_home = [path for name in ("models", "datasets") for path in (home / name).rglob("*") if path.is_file()]
    assert bool(in_home) != bool(servers)  # what was made lies in one place alone

    # The next day: the vocabulary grows, and the new version begins with the weights of the first.
    tomorrow = {**body["prepare"], "vocabulary_from": "small", "grow": True, "seed": 2}
    grown = up.succeeded(up.client.post("/v1/datasets", json={"name": "next", "prepare": tomorrow}).json()["id"])
    assert grown["result"]["report"]["table_rows"] >= prepared["result"]["report"]["table_rows"]
    start = {"model": "ctr", "version": 1}
    warm = up.succeeded(up.submit("train", dataset="next", publish_as="ctr", warm_start=start, **SMALL))
    published = warm["result"]["published"]
    assert (warm["result"]["version"], published["alias"]) == (2, "latest"), published
    compared = published["compared"]  # both on the rows of the grown dataset
    assert (compared["version"], compared["split"], compared["rows"], compared["note"]) == (1, "test", "same", None)
    assert compared["candidate"]["auc"] == pytest.approx(warm["metrics"]["test_auc"], abs=1e-4)
    assert warm["metrics"]["test_auc"] > 0.5


def test_bad_raw_data_fails_the_job_and_names_the_callers_file(up: Up, tmp_path: Path) -> None:
    home = Path(up.children()["worker"].environ()["CTRFAST_HOME"])
    (home / "data" / "bad.tsv").write_text("1\t2\t3\n")
    job = up.ended(up.submit("prepare", name="bad", raw=["bad.tsv"], preset="criteo"))
    assert (job["state"], job["reason"]) == ("failed", "bad_data")
    assert "bad.tsv" in job["message"]
    assert str(home) not in job["message"]
    assert up.client.get("/v1/datasets/bad").status_code == 404


@pytest.mark.parametrize("servers", ["home"], indirect=True)  # what is killed knows of no database or store
def test_kills_retry_and_cancel(up: Up) -> None:
    job_id = up.submit("train", dataset="small", publish_as="never", **SMALL, **LONG)
    up.is_training(job_id, 1)
    first = up.children()["runner"]
    first.kill()  # the training process: the job is tried again
    assert up.client.get("/healthz").status_code == 200
    second = wait_for(lambda: (found := up.children().get("runner")) != first and found, "the second attempt")
    up.children()["worker"].kill()  # the worker: its child ends with it, and the job has no attempt left
    wait_for(lambda: is_gone(second.pid), "the runner's end")
    job = up.ended(job_id)
    assert (job["state"], job["reason"], job["attempt"]) == ("failed", "worker_lost", 2)
    assert [model["name"] for model in up.client.get("/v1/models").json()["models"]] == ["ctr"]

    assert up.client.post(f"/v1/jobs/{job_id}/retry").json()["state"] == "queued"
    wait_for(lambda: up.children().get("runner"), "the third attempt")  # by a new worker
    assert up.client.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelling"
    job = up.ended(job_id)
    assert (job["state"], job["attempt"]) == ("cancelled", 3)


def test_a_killed_service_leaves_no_process_behind(home: Path) -> None:
    service = Up(home)
    everyone = list(wait_for(lambda: len(found := service.children()) == 2 and found, "both children").values())
    service.process.kill()
    service.process.wait()
    for process in everyone:
        wait_for(lambda pid=process.pid: is_gone(pid), "a child's end")
    service.client.close()
    assert service.process.stdout is not None
    service.process.stdout.close()


@pytest.mark.parametrize("servers", ["home"], indirect=True)  # its last: it ends the service
def test_sigterm_ends_every_process_and_the_job_survives(up: Up) -> None:
    home = Path(up.children()["worker"].environ()["CTRFAST_HOME"])
    job_id = up.submit("train", dataset="small", **SMALL, **LONG)
    wait_for(lambda: "runner" in up.children(), "the runner")
    everyone = [psutil.Process(up.process.pid), *up.children().values()]
    assert len(everyone) == 4
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(timeout=180) == 0
    for process in everyone:
        wait_for(lambda pid=process.pid: is_gone(pid), "a process's end")

    again = Up(home)
    try:
        taken_up = {"state": "running", "attempt": 2, "reason": None}
        wait_for(lambda: taken_up.items() <= again.job(job_id).items(), "the second attempt")
        assert again.client.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
        assert again.ended(job_id)["state"] == "cancelled"
    finally:
        again.close()
