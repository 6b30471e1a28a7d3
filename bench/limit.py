"""How fast TensorFlow can multiply the MLP's matrices: forward and both backward products, nothing else."""

from __future__ import annotations

import argparse
import itertools

from bench.turns import Turns, answering
from bench.workload import LAYERS, SEED
from ctrfast.allocator import keep_freed_memory


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, required=True)
    batch_size = parser.parse_args().batch_size
    keep_freed_memory()  # new pages for each result would be timed as well
    import tensorflow as tf

    tf.random.set_seed(SEED)
    shapes = list(itertools.pairwise(LAYERS))
    kernels = [tf.random.normal(shape) for shape in shapes]
    inputs = [tf.random.normal((batch_size, m)) for m, _ in shapes]
    gradients = [tf.random.normal((batch_size, n)) for _, n in shapes]

    def step() -> None:  # eagerly: a graph would fold or drop products that nobody uses
        for kernel, x, gradient in zip(kernels, inputs, gradients, strict=True):
            tf.matmul(x, kernel)
            tf.matmul(x, gradient, transpose_a=True)
            tf.matmul(gradient, kernel, transpose_b=True)

    turns.serve(step)


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
