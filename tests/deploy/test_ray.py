"""The compose file's Ray commands and their health check, run as they stand on this machine's loopback."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.connections import peers_of, strangers_among
from tests.deploy.test_compose import ROOT, SERVICES
from tests.service.conftest import wait_for

BIN = Path(sys.executable).parent
END_S = 180.0
NODES = (
    "import json, ray, sys; ray.init(sys.argv[1], log_to_driver=False); "
    "print(json.dumps([[node['Alive'], node['Resources'].get('CPU', 0)] for node in ray.nodes()]))"
)


def on_loopback(words: list[str], port: int, client_port: int) -> list[str]:
    """A command of the compose file with this test's addresses, and little memory."""
    changes = {"ray-head:6379": f"127.0.0.1:{port}", "=6379": f"={port}", "=10001": f"={client_port}"}
    for old, new in changes.items():
        words = [word.replace(old, new) for word in words]
    if words[1] == "start":
        words += ["--node-ip-address=127.0.0.1", f"--object-store-memory={80 * 2**20}"]
    return words


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A process, which is told to end with the block; all that it has started is gone then, and killed if it is not."""
    with subprocess.Popen(command, env=environment) as process:
        whole = psutil.Process(process.pid)
        try:
            yield whole
        finally:
            family = whole.children(recursive=True)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            finally:
                _, left = psutil.wait_procs(family, timeout=60)
                for each in [*left, process]:
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
        assert left == []


@pytest.fixture
def folder() -> Iterator[str]:
    """With a path so short that Ray's sockets below it have names that Linux takes."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.mark.timeout(1200)
def test_head_and_worker_meet_and_are_healthy(folder: str) -> None:
    given = SERVICES["ray-head"]["environment"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        **{name: value for name, value in given.items() if name.startswith(("RAY_", "GRPC_"))},
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_TMPDIR": folder,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_START_HOOK": "tests.deploy.ray_on_loopback.stay",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    assert environment["RAY_AUTH_MODE"] == "token"
    port, client_port = free_ports(2)
    commands = {name: on_loopback(SERVICES[name]["command"], port, client_port) for name in ("ray-head", "ray-worker")}
    checks = [on_loopback(SERVICES[name]["healthcheck"]["test"][1:], port, client_port) for name in commands]
    assert checks[0] == checks[1]

    def health(*options: str, token: str = environment["RAY_AUTH_TOKEN"]) -> int:
        own = {**environment, "RAY_AUTH_TOKEN": token}
        return subprocess.run([*checks[0], *options], env=own, stderr=subprocess.DEVNULL, timeout=300).returncode

    def nodes() -> list[list[float]]:
        driver = [sys.executable, "-c", NODES, f"127.0.0.1:{port}"]
        done = subprocess.run(driver, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
        return sorted(found)

    peers: set[tuple[str, str]] = set()
    with running(commands["ray-head"], environment) as head:
        wait_for(lambda: peers.update(peers_of(head)) or answers(client_port), "the head's start", 300)
        wait_for(lambda: health() == 0, "the head's health", 300)
        with running(commands["ray-worker"], environment) as worker:
            wait_for(lambda: peers.update(peers_of(worker)) or len(nodes()) == 2, "the worker's arrival", 300)
            cpus = [(alive, cpus > 0) for alive, cpus in nodes()]
            assert cpus == [(True, False), (True, True)]  # work goes to the worker alone
            assert health("--component", "ray_client_server") == 0  # what CTRFAST_RAY_ADDRESS names
            assert health(token=secrets.token_hex(32)) != 0
            peers |= peers_of(head) | peers_of(worker)
    assert len(peers) > 5
    assert not strangers_among(peers)
