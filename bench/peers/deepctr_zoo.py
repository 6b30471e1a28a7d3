"""A network of DeepCTR's as its users run it, as `bench.peers.deepctr_plain` runs its DeepFM."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.peers.deepctr_model import endless
from bench.peers.deepctr_networks import build
from bench.turns import Turns, answering
from bench.workload import NUMBERS, Rows, field_sizes


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--ids", type=int, required=True)
    parser.add_argument("--model", type=json.loads, required=True, help="settings, as JSON")
    arguments = parser.parse_args()
    model = build(arguments.model, field_sizes(arguments.ids), NUMBERS)
    model.compile("adam", "binary_crossentropy")
    train_function = model.make_train_function()
    source = endless(Rows.read(arguments.data), arguments.batch_size)
    turns.serve(lambda: train_function(source))


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
