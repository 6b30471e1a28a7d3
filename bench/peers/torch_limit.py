"""How fast torch can multiply the MLP's matrices: forward and both backward products, into memory at hand."""

from __future__ import annotations

import argparse
import itertools

import torch

from bench.turns import Turns, answering
from bench.workload import LAYERS, SEED

_MOST_ROWS = 65_536  # at a time: more need more memory and are no faster


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, required=True)
    batch_size = parser.parse_args().batch_size
    passes = -(-batch_size // _MOST_ROWS)
    rows = batch_size // passes
    torch.manual_seed(SEED)
    shapes = list(itertools.pairwise(LAYERS))
    kernels = [torch.randn(shape) for shape in shapes]
    inputs = [torch.randn(rows, m) for m, _ in shapes]
    gradients = [torch.randn(rows, n) for _, n in shapes]
    results = [tuple(map(torch.empty_like, parts)) for parts in zip(gradients, kernels, inputs, strict=True)]

    def step() -> None:
        work = zip(kernels, inputs, gradients, results, strict=True)
        for kernel, x, gradient, (forward, of_kernel, of_x) in passes * list(work):
            torch.mm(x, kernel, out=forward)
            torch.mm(x.T, gradient, out=of_kernel)
            torch.mm(gradient, kernel.T, out=of_x)

    turns.serve(step)


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
