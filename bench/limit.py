"""How fast TensorFlow can multiply the MLP's matrices: forward and both backward products, nothing else."""

from __future__ import annotations

import argparse
import itertools

from bench.turns import Turns, answering
from bench.workload import LAYERS, SEED
from ctrfast.allocator import keep_freed_memory

_MOST_ROWS = 65_536  # at a time: more need more memory and are no faster


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, required=True)
    batch_size = parser.parse_args().batch_size
    passes = -(-batch_size // _MOST_ROWS)
    rows = batch_size // passes
    keep_freed_memory()  # new pages for each result would be timed as well
    import tensorflow as tf

    tf.random.set_seed(SEED)
    shapes = list(itertools.pairwise(LAYERS))
    kernels = [tf.random.normal(shape) for shape in shapes]
    inputs = [tf.random.normal((rows, m)) for m, _ in shapes]
    gradients = [tf.random.normal((rows, n)) for _, n in shapes]

    def step() -> None:  # eagerly: a graph would fold or drop products that nobody uses
        for kernel, x, gradient in passes * list(zip(kernels, inputs, gradients, strict=True)):
            tf.matmul(x, kernel)
            tf.matmul(x, gradient, transpose_a=True)
            tf.matmul(gradient, kernel, transpose_b=True)

    turns.serve(step)


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
