"""Ray nodes on 127.0.0.1, for tests: each has a raylet, an object store and one CPU of its own.

    with ray_nodes(2, token) as nodes:         # nodes.address is one for `CTRFAST_RAY_ADDRESS`

They belong to a program, `python -m tests.cluster.ray_nodes COUNT`, which ends them all by their ids when its standard
input ends: when the block does, and when the process that began it dies.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

_LOOPBACK = "127.0.0.1"
_OBJECT_STORE_BYTES = 80 * 2**20  # nearly nothing goes through it
_PR_SET_CHILD_SUBREAPER = 36
_END_S = 90.0


@dataclass(frozen=True)
class RayNodes:
    """Addresses as `ray.init` takes them.

    address: where this process is no node. own_address: where it is one. program: the nodes' parent.
    """

    address: str
    own_address: str
    program: psutil.Process

    def trainers(self) -> dict[int, set[int]]:
        """Ids of Ray Train's workers, by the id of their node's raylet."""
        found = {}
        for child in self.program.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name() == "raylet":
                    family = child.children(recursive=True)
                    found[child.pid] = {of.pid for of in family if "RayTrainWorker" in " ".join(of.cmdline())}
        return found


@contextmanager
def ray_nodes(count: int, token: str) -> Iterator[RayNodes]:
    """A head and further nodes, as long as the block lasts; who connects needs the token as RAY_AUTH_TOKEN."""
    environment = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else they talk to the host's own network address
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",  # else their head reports this very setting
        # Else gRPC's handlers of fork() end, now and then, the process that the head starts for a client before it has
        # begun (Ray 2.60: "epoll_wait error: Bad file descriptor" in its ray_client_server_23000.err).
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        environment["RAY_TMPDIR"] = folder
        command = [sys.executable, "-m", "tests.cluster.ray_nodes", str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, env=environment, text=True, **pipes) as program:
            try:
                addresses = next((line.split() for line in program.stdout if line.startswith("ray://")), None)
                if addresses is None:
                    raise RuntimeError(f"The Ray nodes did not start: their program ended with {program.wait()}.")
                yield RayNodes(*addresses, psutil.Process(program.pid))
            finally:
                program.stdin.close()
                try:
                    code = program.wait(2 * _END_S)
                except subprocess.TimeoutExpired:
                    program.kill()  # and Linux its nodes
                    raise
        if code:
            raise RuntimeError(f"The Ray nodes' program ended with {code}.")


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def _end_descendants() -> None:
    """Kill all processes that descend from this one, by their ids."""
    deadline = time.monotonic() + _END_S
    while descendants := psutil.Process().children(recursive=True):
        if time.monotonic() > deadline:
            raise RuntimeError(f"These processes do not end: {descendants}")
        for process in descendants:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(descendants, timeout=1)


def main(count: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a dead raylet's workers stay descendants
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": _LOOPBACK, "num_cpus": 1, "object_store_memory": _OBJECT_STORE_BYTES}
    port = _free_port()
    try:
        cluster = Cluster(shutdown_at_exit=False)
        cluster.add_node(**node, ray_client_server_port=port, include_dashboard=False)
        for _ in range(count - 1):
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        sys.stdout.write(f"ray://{_LOOPBACK}:{port} {cluster.address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        _end_descendants()
    os._exit(0)  # Ray's way out would ask the nodes that are gone


if __name__ == "__main__":
    main(int(sys.argv[1]))
