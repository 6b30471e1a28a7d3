"""Trains in processes that are killed by SIGKILL at given places: a SPEC as JSON on each line of standard input.

Each is a fork of this program, which has imported TensorFlow and run nothing: five imports would take longer than the
trainings. Prints the exit code of each.

place: `step` right after a step; `evaluation` while the next evaluation predicts; `checkpoint` while the next
checkpoint is half written. step: from which on. from_step: of the checkpoint that it goes on from.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import ctrfast
import ctrfast.checkpoint
from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.network import Network
from ctrfast.row_step import RowStep
from ctrfast.train import train


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(spec):
    taken, step = spec["from_step"], RowStep.__call__

    def counted(*args):
        nonlocal taken
        figures = step(*args)
        taken += 1
        if spec["place"] == "step" and taken == spec["step"]:
            die()
        return figures

    def dying(function):
        return lambda *args, **keywords: die() if taken >= spec["step"] else function(*args, **keywords)

    RowStep.__call__ = counted
    if spec["place"] == "evaluation":
        Network.logits = dying(Network.logits)
    if spec["place"] == "checkpoint":
        ctrfast.checkpoint.write_manifest = dying(ctrfast.checkpoint.write_manifest)
    config = TrainConfig.model_validate(spec["config"])
    train(Dataset.open(Path(spec["dataset"])), config, Path(spec["out"]), resume=True)


def exit_code_of_a_fork(work, spec):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work(spec)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve(work):
    for line in sys.stdin:
        sys.stdout.write(f"{exit_code_of_a_fork(work, json.loads(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(train_and_die)
