"""A run that is stopped and then loses a worker, beside one that is left undisturbed, as a program of its own.

python -m tests.cluster.lost_worker_program DATASET OUT
Two groups of workers, on a Ray that is started here: the first trains OUT/dense, is stopped in OUT/hurt, goes on with
it, and loses a worker by SIGKILL; the second ends it. Prints JSON: the message of the stop, and the steps that were
told.
"""

import json
import os
import secrets
import signal
import sys
from functools import partial
from pathlib import Path

from ctrfast.cluster import run_on_workers
from ctrfast.config import ClusterConfig, parse_config
from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled
from ctrfast.run import RECEIPT
from ctrfast.train import work_on
from tests.cluster.two_workers_program import SETTINGS

CONFIG = parse_config({**SETTINGS, "epochs": 1})
DIES_BEFORE_STEP = 7


def train_both(data, seal, out, workers, on_progress, should_stop):
    """The undisturbed run, then the hurt one; started anew, the workers go on with that."""
    if not (out / "dense" / RECEIPT).exists():
        work_on(data, seal, CONFIG, out / "dense", None, workers, on_progress, should_stop)
    hurt = partial(work_on, data, seal, CONFIG, out / "hurt", None, workers, on_progress)
    if not (out / "died").exists():
        try:
            hurt(lambda: True)
        except Cancelled as error:
            if workers.is_chief:
                (out / "stopped").write_text(error.message)
    hurt(dies_once(out / "died", workers.index == 1))


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


def main(data, out):
    seal, steps = Dataset.open(data).hash, []
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    work = partial(train_both, data, seal, out)
    run_on_workers(work, ClusterConfig(workers=2), out / "both", lambda p: steps.append(p.step), lambda: False)
    sys.stdout.write(json.dumps({"stopped": (out / "stopped").read_text(), "steps": steps}) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
