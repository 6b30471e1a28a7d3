"""The compose file's own commands and health checks, run as they stand: PostgreSQL and S3 are the tests' servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.deploy.test_compose import DEPLOY, SERVICES
from tests.service.conftest import database_url, postgres, wait_for  # noqa: F401 - fixtures

pytestmark = pytest.mark.empty_database

BIN = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> Iterator[dict[str, str]]:  # noqa: F811
    """The API's own environment, with this machine's servers and folders in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ours = {
        "CTRFAST_HOME": str(tmp_path / "home"),
        "CTRFAST_CACHE": str(tmp_path / "cache"),
        "CTRFAST_DATABASE_URL": database_url,
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "RAY_AUTH_TOKEN": "token",
        "CTRFAST_LEASE_S": "4",  # so long may a worker be silent
    }
    given = {**SERVICES["api"]["environment"], **ours}
    assert not [name for name, value in given.items() if "$" in value]
    yield {**os.environ, **given, "PATH": f"{BIN}:{os.environ['PATH']}"}
    server.stop()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_setup_api_and_worker(environment: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "metrics"
    setup = [sys.executable, str(DEPLOY / "setup.py"), str(key)]
    subprocess.run(setup, env=environment, check=True, timeout=300)
    made = key.read_text()
    session = boto3.session.Session(aws_access_key_id="key", aws_secret_access_key="secret")
    store = session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1")
    assert "ctrfast" in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]

    port = _free_port()
    api = [word.replace("8000", str(port)) for word in SERVICES["api"]["command"]]
    api[api.index("0.0.0.0")] = "127.0.0.1"
    commands = [api, SERVICES["worker"]["command"]]

    def worker_s_health() -> int:
        check = SERVICES["worker"]["healthcheck"]["test"][1:]
        return subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, timeout=240).returncode

    assert worker_s_health() == 1  # there is none
    processes = [subprocess.Popen(command, env={**environment, "CTRFAST_REQUIRE_KEY": "1"}) for command in commands]
    worker = processes[1]
    try:
        check = [word.replace("8000", str(port)) for word in SERVICES["api"]["healthcheck"]["test"][1:]]
        wait_for(lambda: subprocess.run(check, stderr=subprocess.DEVNULL).returncode == 0, "the API's health", 300)
        url = f"http://127.0.0.1:{port}"
        client = httpx.Client(base_url=url, timeout=120)
        wait_for(lambda: client.get("/readyz").json()["checks"]["worker"] == "ok", "the worker's sign of life")
        assert client.get("/metrics").status_code == 401
        metrics = client.get("/metrics", headers={"Authorization": f"Bearer {made}"})
        assert "ctrfast_database_up 1.0" in metrics.text
        client.close()
        wait_for(lambda: worker_s_health() == 0, "the worker's health")
        worker.send_signal(signal.SIGSTOP)  # as one that hangs
        wait_for(lambda: worker_s_health() == 1, "the notice that it is silent")
        worker.send_signal(signal.SIGCONT)
        wait_for(lambda: worker_s_health() == 0, "its sign of life")
    finally:
        worker.send_signal(signal.SIGCONT)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(180) for process in processes]
    assert codes == [0, 0]
    assert worker_s_health() == 1  # at once: it has signed out


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
