"""Runs on two workers, as a program of its own: Ray takes over a part of the process that it is started in.

python -m tests.cluster.two_workers_program DATASET OUT
OUT/hurt is stopped by SIGTERM on a Ray of its own. The rest is done by a cluster that this process is no node of:
OUT/hurt goes on, and loses a worker by SIGKILL; OUT/dense and OUT/sparse are left undisturbed.
Prints JSON: the message of the stop, the steps that the loss fell between, and the addresses that were talked to.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from ctrfast.cluster import connected, run_on_workers
from ctrfast.config import ClusterConfig, parse_config
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled
from ctrfast.train import train, work_on

SETTINGS = {
    "batch_size": 250,
    "epochs": 2,
    "log_every_steps": 4,
    "checkpoint_every_steps": 4,
    "model": {"embedding_dim": 4, "hidden": [16, 8]},
    "optimizer": {"l2": 1e-3, "clip_ratio": 0.01},  # so low that rows are clipped
    "cluster": {"workers": 2},
}
DENSE = parse_config(SETTINGS)
SPARSE = parse_config({**SETTINGS, "optimizer": {**SETTINGS["optimizer"], "update": "sparse"}})
DIES_BEFORE_STEP = 7


def train_both(data, seal, out, workers, on_progress, should_stop):
    """Two runs in one group: a group's start takes longer than they do."""
    for name, config in (("dense", DENSE), ("sparse", SPARSE)):
        work_on(data, seal, config, out / name, None, workers, on_progress, should_stop)


def lose_a_worker(data, seal, out, workers, on_progress, should_stop):
    """The second worker is killed, once, between two checkpoints."""
    steps = 0

    def should_stop_or_die():
        nonlocal steps
        steps += 1
        if workers.index == 1 and steps == DIES_BEFORE_STEP and not (out / "died").exists():
            (out / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return should_stop()

    work_on(data, seal, DENSE, out / "hurt", None, workers, on_progress, should_stop_or_die)


def stop_by_signal():
    """A `should_stop` that SIGTERM makes true, which this process gets once Ray is started in it."""
    wish = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: wish.set())
    polls = 0

    def should_stop():
        nonlocal polls
        ray = sys.modules.get("ray")  # not imported here: `connected` sets what it reads at its import
        polls += getattr(ray, "is_initialized", bool)()
        if polls == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return wish.is_set()

    return should_stop


@contextmanager
def cluster_elsewhere():
    """A Ray cluster of one node, and its address in the environment."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, client_port = (listener.getsockname()[1] for listener in (first, second))
    start = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    start += [f"--port={port}", f"--ray-client-server-port={client_port}", "--num-cpus=2", "--include-dashboard=false"]
    start += ["--object-store-memory=83886080", "--disable-usage-stats"]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        head = subprocess.Popen([*start, f"--temp-dir={folder}"], **quiet)
        os.environ["CTRFAST_RAY_ADDRESS"] = f"ray://127.0.0.1:{client_port}"
        try:
            while not _answers(client_port):
                if head.poll() is not None:
                    raise RuntimeError(f"ray start ended with {head.returncode}.")
                time.sleep(0.2)
            yield
        finally:
            del os.environ["CTRFAST_RAY_ADDRESS"]
            family = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            head.wait()


def _answers(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def main(data, out):
    dataset, told = Dataset.open(data), {}
    cluster, addresses = ClusterConfig(workers=2), set()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        train(dataset, DENSE, out / "hurt", should_stop=stop_by_signal())
    except Cancelled as error:
        told["stopped"] = error.message
    with cluster_elsewhere(), connected(cluster):
        ignore = (lambda _: None), (lambda: False)
        run_on_workers(partial(train_both, data, dataset.hash, out), cluster, out / "both", *ignore)
        try:
            train(dataset, SPARSE, out / "hurt", resume=True)
        except ArtifactError as error:
            told["refused"] = error.message

        def look(progress):
            told.setdefault("steps", []).append(progress.step)
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # the lost worker, for one
                    addresses.update(c.raddr.ip for c in process.net_connections(kind="inet") if c.raddr)

        run_on_workers(partial(lose_a_worker, data, dataset.hash, out), cluster, out / "hurt", look, lambda: False)
    told["addresses"] = sorted(addresses)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
