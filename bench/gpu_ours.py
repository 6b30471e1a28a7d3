"""ctrfast's training step on a GPU as a program to be timed: steps are handed over, and waited for once per turn.

python -m bench.gpu_ours --data build/bench/clicks-... --batch-size 65536 --input parquet
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from bench.our_step import OurStep, endless
from bench.turns import Turns, answering
from bench.workload import HELD_ROWS, Rows, offsets
from ctrfast.data.batches import Batch
from ctrfast.data.shards import Dataset


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--update", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--input", choices=("parquet", "memory"), default="parquet", help="where the rows come from")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data / "dataset", verify=False)
    rows = Rows.read(arguments.data)
    step = OurStep(dataset, arguments.batch_size, arguments.update, arguments.precision)
    facts = {"first_losses": step.first_losses(rows)}
    if arguments.input == "parquet":
        source = endless(dataset, arguments.batch_size)
    else:
        source = itertools.cycle(held(rows, arguments.batch_size, offsets(dataset.fitted.table_sizes)))
    last = [step.begin(next(source))]

    def take() -> None:
        last[0] = step.begin(next(source))

    turns.serve(take, facts, finish=lambda: float(last[0]), peak_device_bytes=peak_device_bytes)


def held(rows: Rows, batch_size: int, starts: np.ndarray) -> Iterator[Batch]:
    """Batches of the first rows, ready in the machine's memory."""
    for index in range(HELD_ROWS // batch_size):
        part = rows.batch(index, batch_size)
        yield Batch(part.ids + starts, np.array(part.numbers), np.array(part.labels))


def peak_device_bytes() -> int | None:
    """The most bytes of the GPU's memory that tensors took; none without a GPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
