"""The log of real processes: one record per line, ids bound, no secret in it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access import ALL_RIGHTS
from service.jobs import JobStore
from service.keys import KeyStore
from service.settings import Settings
from service.states import Kind
from service.wiring import Services
from tests.service.conftest import quick_settings, wait_for

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging
from service.logs import about, begin, bind, log_to_stderr

log_to_stderr("INFO", "{form}")
log = logging.getLogger("service.x")
begin(request_id="r1")
bind(caller="k1")
log.info("two\\nlines %d", 7, extra={{"ms": 1.5}})
log.debug("too little")
with about(job_id="j1", attempt=2):
    logging.getLogger("another.library").warning("heard")
try:
    password = "hidden-" * 3
    int("no" + " number")
except ValueError:
    log.exception("it broke")
begin(request_id="r2")
log.error("next")
"""


def logged(form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json() -> None:
    lines = logged("json")
    records = [json.loads(line) for line in lines]
    stamps = [record.pop("timestamp") for record in records]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", stamp) for stamp in stamps)
    broken = records[2].pop("exception")
    assert "ValueError: invalid literal" in broken
    assert "hidden" not in broken
    caller = {"request_id": "r1", "caller": "k1"}
    assert records == [
        {"event": "two\nlines 7", "ms": 1.5, "level": "info", "logger": "service.x", **caller},
        {
            "event": "heard",
            "job_id": "j1",
            "attempt": 2,
            "level": "warning",
            "logger": "another.library",
            **caller,
        },
        {"event": "it broke", "level": "error", "logger": "service.x", **caller},
        {"event": "next", "request_id": "r2", "level": "error", "logger": "service.x"},
    ]


def test_console() -> None:
    lines = logged("console")
    assert "two\\nlines 7" in lines[0]
    for words in ("[info", "[service.x]", "caller=k1", "ms=1.5", "request_id=r1"):
        assert words in lines[0]
    assert "attempt=2" in lines[1]
    assert "it broke" in lines[2]
    assert lines[3] == "Traceback (most recent call last):"
    assert "hidden" not in "\n".join(lines)
    assert "\x1b" not in "\n".join(lines)  # no colours in a file


class Part:
    """`ctrfast-service api` or `worker` as a process that logs JSON to a file."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        self._file = settings.home_dir / f"{arguments[0]}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")}
        environment = {**clean, "CTRFAST_HOME": str(settings.home_dir), "CTRFAST_LOG_FORMAT": "json"}
        environment |= {"CTRFAST_POLL_S": "0.05", "CTRFAST_REQUIRE_KEY": "1"}
        with self._file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *arguments],
                env=environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def services(home: Path) -> Services:
    services = Services.build(quick_settings(home))
    services.database.migrate()
    return services


def test_requests_and_who_made_them(services: Services) -> None:
    key = KeyStore(services.database).create("test", rights=ALL_RIGHTS)
    caller, _, secret = key.partition(".")
    job_id = services.jobs.enqueue(Kind.TRAIN, {}).id
    api = Part(services.settings, "api", "--port", "0")
    try:
        assert api.process.stdout is not None
        address = api.process.stdout.readline().rstrip().rpartition(" ")[2]
        client = httpx.Client(base_url=f"http://{address}", timeout=120)
        wait_for(lambda: answers(client), "the API's start")
        headers = {"Authorization": f"Bearer {key}"}
        client.get(f"/v1/jobs/{job_id}?token={secret}", headers={**headers, "X-Request-ID": "mine-1"})
        client.post("/v1/jobs", json={"kind": "train", "spec": {"secret": secret}}, headers=headers)
        client.get(f"/v1/jobs/{secret}", headers={**headers, "X-Request-ID": "mine-2"})
        client.get("/v1/jobs", headers={"X-API-Key": f"{caller}.wrong{secret}", "X-Request-ID": "mine-3"})
        client.get(f"/{secret}", headers=headers)
        client.get("/metrics", headers=headers)
        client.close()
    finally:
        api.end()
        services.database.dispose()
    records = api.records()
    assert secret not in json.dumps(records)
    answered = [record for record in records if record["logger"] == "service.access"]
    assert {record["event"] for record in answered} == {"answered"}
    by_id = {record["request_id"]: record for record in answered}
    first = by_id["mine-1"]
    assert first.pop("ms") > 0
    del first["timestamp"]
    assert first == {
        "event": "answered",
        "level": "info",
        "logger": "service.access",
        "method": "GET",
        "route": "/v1/jobs/{job_id}",
        "status": 200,
        "request_id": "mine-1",
        "caller": caller,
        "job_id": job_id,
    }
    assert (by_id["mine-2"]["status"], "job_id" in by_id["mine-2"]) == (404, False)
    assert (by_id["mine-3"]["status"], "caller" in by_id["mine-3"]) == (401, False)
    routes = {record["route"] for record in answered}
    assert "unmatched" in routes
    assert not routes & {"/metrics", "/healthz"}  # what is asked all the time is told to whoever asks for DEBUG


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_attempts_of_jobs(services: Services) -> None:
    job_id = JobStore(services.database, services.settings).enqueue(Kind.TRAIN, {"dataset": "none"}).id
    worker = Part(services.settings, "worker")
    try:
        wait_for(lambda: services.jobs.get(job_id).state == "failed", "the end of the job")
    finally:
        worker.end()
        services.database.dispose()
    told = [record for record in worker.records() if record.get("job_id") == job_id]
    assert len(told) >= 2
    assert {(record["kind"], record["attempt"]) for record in told} == {("train", 1)}
    waiting = worker.records()[0]
    assert "is waiting for jobs" in waiting["event"]
    assert "job_id" not in waiting
