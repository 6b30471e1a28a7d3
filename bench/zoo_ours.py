"""A network of ctrfast's as a program to be timed: its training step, and the time of one row by its ONNX graph.

python -m bench.zoo_ours --data build/bench/clicks-... --batch-size 8192 --model '{"name": "dcn", ...}'
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.turns import Turns, answering
from bench.workload import SEED, Rows, offsets
from ctrfast.allocator import keep_freed_memory

_CALLS, _REPEATS = 300, 5  # of one row; the fastest repeat's median is the latency


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--model", type=json.loads, required=True, help="settings, as JSON")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `ctrfast train` does, before TensorFlow is imported
    from bench.our_step import endless, step_settings
    from ctrfast.data.shards import Dataset
    from ctrfast.model_config import ModelConfig
    from ctrfast.network import Network
    from ctrfast.step import make_step

    dataset = Dataset.open(arguments.data / "dataset", verify=False)
    network = Network(ModelConfig(**arguments.model), dataset.fitted, seed=SEED, embedding_init_std=1e-2)
    parameters = sum(variable.shape.num_elements() for variable in network.model.dense_variables)
    rows = Rows.read(arguments.data)
    facts = {"parameters": parameters, "one_row_us": one_row_us(network, rows, dataset.fitted.table_sizes)}
    starts, settings = dataset.fitted.table_starts, step_settings("dense")
    step = make_step(network.model, network.table, starts, settings, batch_size=arguments.batch_size)
    source = endless(dataset, arguments.batch_size)

    def take() -> float:
        batch = next(source)
        return float(step(batch.ids, batch.numbers, batch.labels)[0])

    turns.serve(take, facts)


def one_row_us(network: Any, rows: Rows, sizes: list[int]) -> list[float]:
    """Medians of many calls with one row, on one thread, in microseconds: one for each repeat."""
    import numpy as np
    import onnx
    import onnxruntime as ort

    from ctrfast.graph import scoring_graph
    from ctrfast.tensors import write_tensors

    row = rows.batch(0, 1)
    inputs = {"ids": (row.ids + offsets(sizes)).astype(np.int32), "numbers": np.array(row.numbers)}
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        weights, graph = Path(folder) / "weights.safetensors", Path(folder) / "model.onnx"
        write_tensors(weights, network.weights())
        onnx.save_model(scoring_graph(network, weights), graph)
        session = ort.InferenceSession(graph, sess_options=options, providers=["CPUExecutionProvider"])
    medians = []
    for _ in range(_REPEATS):
        seconds = []
        for _ in range(_CALLS):
            start = time.perf_counter()
            session.run(None, inputs)
            seconds.append(time.perf_counter() - start)
        medians.append(1e6 * float(np.median(seconds)))
    return medians


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
