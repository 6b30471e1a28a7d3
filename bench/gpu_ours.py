"""ctrfast's training step on a GPU as a program to be timed: steps are handed over, and waited for once per turn.

The rows lie in the GPU's memory, as in `ctrfast train` (`ctrfast.feed`); with `--input parquet` they come from disk.

python -m bench.gpu_ours --data build/bench/clicks-... --batch-size 65536
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf

from bench.our_step import OurStep, endless, endless_numbers
from bench.turns import Turns, answering
from ctrfast.data.shards import Dataset
from ctrfast.feed import hold_rows
from ctrfast.replicas import choose_devices


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--update", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--input", choices=("parquet", "gpu"), default="gpu", help="where the rows come from")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data / "dataset", verify=False)
    step = OurStep(dataset, arguments.batch_size, arguments.update, arguments.precision)
    if arguments.input == "parquet":
        losses = (step.begin(batch) for batch in endless(dataset, arguments.batch_size))
    else:
        words = hold_rows(dataset, "train", choose_devices(1)[0])
        losses = (step.begin_rows(words, numbers) for numbers in endless_numbers(dataset, arguments.batch_size))
    last = [next(losses)]

    def take() -> None:
        last[0] = next(losses)

    turns.serve(take, finish=lambda: float(last[0]), peak_device_bytes=peak_device_bytes)


def peak_device_bytes() -> int | None:
    """The most bytes of the GPU's memory that tensors took; none without a GPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
