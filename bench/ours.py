"""ctrfast's training step as a program to be timed.

python -m bench.ours --data build/bench/clicks-... --batch-size 65536 --update dense
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.turns import Turns, answering
from bench.workload import Rows
from ctrfast.allocator import keep_freed_memory


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--update", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--allocator", choices=("kept", "system"), default="kept", help="`ctrfast.allocator` or not")
    arguments = parser.parse_args()
    if arguments.allocator == "kept":  # as `ctrfast train` does, before TensorFlow is imported
        keep_freed_memory()
    from bench.our_step import OurStep, endless
    from ctrfast.data.shards import Dataset

    dataset = Dataset.open(arguments.data / "dataset", verify=False)
    step = OurStep(dataset, arguments.batch_size, arguments.update)
    losses = step.first_losses(Rows.read(arguments.data))
    source = endless(dataset, arguments.batch_size)
    turns.serve(lambda: step(next(source)), {"first_losses": losses})


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
