"""How fast torch can multiply the MLP's matrices: forward and both backward products, into memory at hand."""

from __future__ import annotations

import argparse
import itertools

import torch

from bench.turns import Turns, answering
from bench.workload import LAYERS, SEED


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, required=True)
    batch_size = parser.parse_args().batch_size
    torch.manual_seed(SEED)
    shapes = list(itertools.pairwise(LAYERS))
    kernels = [torch.randn(shape) for shape in shapes]
    inputs = [torch.randn(batch_size, m) for m, _ in shapes]
    gradients = [torch.randn(batch_size, n) for _, n in shapes]
    results = [tuple(map(torch.empty_like, parts)) for parts in zip(gradients, kernels, inputs, strict=True)]

    def step() -> None:
        for kernel, x, gradient, (forward, of_kernel, of_x) in zip(kernels, inputs, gradients, results, strict=True):
            torch.mm(x, kernel, out=forward)
            torch.mm(x.T, gradient, out=of_kernel)
            torch.mm(gradient, kernel.T, out=of_x)

    turns.serve(step)


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
