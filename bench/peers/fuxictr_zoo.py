"""A network of FuxiCTR's as its users run it, as `bench.peers.fuxictr_plain` runs its DeepFM."""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path

import torch

from bench.fuxictr_checkout import NETWORKS
from bench.peers.fuxictr_features import describe, inputs
from bench.peers.fuxictr_networks import Network
from bench.peers.fuxictr_whole import whole
from bench.turns import Turns, answering
from bench.workload import HELD_ROWS, NUMBERS, SEED, WIDTH, Rows, field_sizes


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--ids", type=int, required=True)
    parser.add_argument("--model", type=json.loads, required=True, help="settings, as JSON")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    rows = Rows.read(arguments.data)
    feature_map = describe(field_sizes(arguments.ids), NUMBERS, WIDTH)
    if arguments.model["name"] in NETWORKS:
        model = whole(arguments.model, feature_map)
    else:
        with tempfile.TemporaryDirectory() as folder:
            model = Network(arguments.model, feature_map, folder)
    model.train()
    count = HELD_ROWS // arguments.batch_size
    source = itertools.cycle([inputs(rows.batch(index, arguments.batch_size)) for index in range(count)])
    turns.serve(lambda: model.train_step(next(source)).item())


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
