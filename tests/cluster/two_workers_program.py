"""Runs on two workers, as a program of its own: Ray takes over a part of the process that it is started in.

python -m tests.cluster.two_workers_program DATASET OUT
One group of workers, on a Ray that is started here, trains OUT/dense and OUT/sparse, then OUT/stopped, which SIGTERM
breaks off. Prints JSON: the message of the stop, why OUT/stopped cannot go on otherwise, and the addresses that were
talked to.
"""

import json
import os
import secrets
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil

from ctrfast.cluster import run_on_workers
from ctrfast.config import ClusterConfig, parse_config
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled
from ctrfast.train import train, work_on
from tests.cluster.connections import peers_of

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


def train_all(data, seal, out, workers, on_progress, should_stop):
    """Three runs in one group: a group's start takes longer than they do."""
    for name, config in (("dense", DENSE), ("sparse", SPARSE)):
        work_on(data, seal, config, out / name, None, workers, on_progress, should_stop)

    def wait_until_told():
        """Asked before each step: the first worker says that it has begun, and takes none before it is told to stop."""
        (out / "has-begun").touch()
        while not should_stop():
            time.sleep(0.05)
        return True

    ask = wait_until_told if workers.is_chief else should_stop
    work_on(data, seal, DENSE, out / "stopped", None, workers, on_progress, ask)


def stop_by_signal(begun):
    """A `should_stop` that SIGTERM makes true, which this process gets once the third run has begun."""
    wish = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: wish.set())  # before Ray is started, which sets a handler of its own

    def should_stop():
        if begun.exists() and not wish.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
        return wish.is_set()

    return should_stop


def main(data, out):
    dataset, told, addresses = Dataset.open(data), {}, set()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    work = partial(train_all, data, dataset.hash, out)
    try:
        run_on_workers(
            work,
            ClusterConfig(workers=2),
            out / "all",
            lambda _: addresses.update(peers_of(psutil.Process())),
            stop_by_signal(out / "has-begun"),
        )
    except Cancelled as error:
        told["stopped"] = error.message
    try:
        train(dataset, SPARSE, out / "stopped", resume=True)
    except ArtifactError as error:
        told["refused"] = error.message
    told["addresses"] = sorted(addresses)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
