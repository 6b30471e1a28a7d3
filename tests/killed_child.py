"""Trains in a process of its own and kills it with SIGKILL at a given place: `killed_child.py SPEC`, SPEC as JSON.

place: `step` right after a step; `evaluation` while the next evaluation predicts; `checkpoint` while the next
checkpoint is half written. step: from which on.
"""

import json
import os
import signal
import sys
from pathlib import Path

import ctrfast
import ctrfast.checkpoint
from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.network import Network
from ctrfast.row_step import RowStep
from ctrfast.train import train

spec = json.loads(sys.argv[1])
taken = spec["from_step"]  # steps of the checkpoint that it goes on from


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function):
    return lambda *args, **keywords: die() if taken >= spec["step"] else function(*args, **keywords)


step = RowStep.__call__


def counted(*args):
    global taken
    figures = step(*args)
    taken += 1
    if spec["place"] == "step" and taken == spec["step"]:
        die()
    return figures


RowStep.__call__ = counted
if spec["place"] == "evaluation":
    Network.logits = dying(Network.logits)
if spec["place"] == "checkpoint":
    ctrfast.checkpoint.write_manifest = dying(ctrfast.checkpoint.write_manifest)
train(Dataset.open(Path(spec["dataset"])), TrainConfig.model_validate(spec["config"]), Path(spec["out"]), resume=True)
