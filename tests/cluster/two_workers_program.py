"""Runs on two workers, as a program of its own: Ray takes over a part of the process that it is started in.

python -m tests.cluster.two_workers_program DATASET OUT
Workers on a Ray that is started here train OUT/dense, OUT/sparse and two runs of small batches; stop in OUT/hurt, go on
with it, and lose one of them by SIGKILL; a second group of them ends it and begins OUT/stopped, which SIGTERM breaks
off. Prints JSON: messages of the stops, the steps that were told of OUT/hurt, why OUT/stopped cannot go on otherwise,
and who was talked to.
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
from ctrfast.run import RECEIPT
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
# So few rows a step that workers exchange the sums of touched rows alone; the others those of all rows. The mean
# gradient of a row grows as 1/B, and with it the ratio at which it is clipped.
SMALL = {**SETTINGS, "batch_size": 50, "epochs": 1, "checkpoint_every_steps": 16}
SMALL_DENSE, SMALL_SPARSE = (
    parse_config({**SMALL, "optimizer": {"l2": 1e-3, "clip_ratio": 0.05, "update": update}})
    for update in ("dense", "sparse")
)
UNDISTURBED = {"dense": DENSE, "sparse": SPARSE, "small-dense": SMALL_DENSE, "small-sparse": SMALL_SPARSE}


DIES_BEFORE_STEP = 7


def train_all(data, seal, out, workers, on_progress, should_stop):
    """Six runs in one group, or two: a group's start takes longer than they do. It is called again after the loss."""
    do = partial(work_on, data, seal)
    for name, config in UNDISTURBED.items():
        if not (out / name / RECEIPT).exists():
            do(config, out / name, None, workers, lambda _: None, should_stop)

    hurt = partial(do, DENSE, out / "hurt", None, workers, on_progress)
    if not (out / "died").exists():
        try:
            hurt(lambda: True)
        except Cancelled as error:
            if workers.is_chief:
                (out / "stopped-at-once").write_text(error.message)
    hurt(dies_once(out / "died", workers.index == 1))

    def wait_until_told():
        """Asked before each step: the first worker says that it has begun, and takes none before it is told to stop."""
        (out / "has-begun").touch()
        while not should_stop():
            time.sleep(0.05)
        return True

    ask = wait_until_told if workers.is_chief else should_stop
    do(DENSE, out / "stopped", None, workers, lambda _: None, ask)


def dies_once(died, is_to_die):
    """A `should_stop` that kills the process between two checkpoints, unless one was killed before."""
    steps = 0

    def should_stop():
        nonlocal steps
        steps += 1
        if is_to_die and steps == DIES_BEFORE_STEP and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    return should_stop


def stop_by_signal(begun):
    """A `should_stop` that SIGTERM makes true, which this process gets once the last run has begun."""
    wish = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: wish.set())  # before Ray is started, which sets a handler of its own

    def should_stop():
        if begun.exists() and not wish.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
        return wish.is_set()

    return should_stop


def main(data, out):
    dataset, told, steps, peers = Dataset.open(data), {}, [], set()
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    work = partial(train_all, data, dataset.hash, out)

    def on_progress(progress):
        steps.append(progress.step)
        peers.update(peers_of(psutil.Process()))

    try:
        run_on_workers(work, ClusterConfig(workers=2), out / "all", on_progress, stop_by_signal(out / "has-begun"))
    except Cancelled as error:
        told["stopped"] = error.message
    try:
        train(dataset, SPARSE, out / "stopped", resume=True)
    except ArtifactError as error:
        told["refused"] = error.message
    told |= {"stopped_at_once": (out / "stopped-at-once").read_text(), "steps": steps, "peers": sorted(peers)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
