"""DeepFM in torch by hand: one fused table, compiled forward and backward, fused Adam; no clip, no L2.

    python -m bench.peers.torch_fused --data build/bench/clicks-... --ids 1067398 --batch-size 8192 --gradients dense

`dense`: one fused Adam over table and network. `sparse`: `SparseAdam` moves the looked-up rows alone, which is other
mathematics, as `update: sparse` is. Run it with an allocator that keeps freed memory (`ALLOCATOR` in `bench.train`).
With `--device cuda` the batches, too, lie in the GPU's memory.

Tried on two cores at batch 1,024, 8,192 and 65,536, by processor time of a step. The allocator is the largest gain of
all (a third less time at 1,024, a tenth at 8,192, a sixth at 65,536): each step frees the gradient of the table and its
activations, and asks for them again. Left out:
- the lookup outside the compiled part: no faster at any batch size
- `mode="max-autotune"`, 64-bit ids, a compiled optimizer: no difference that stood out of the noise
- micro-batches of 4,096, 8,192 and 16,384 with one scatter into the table's gradient: no faster at 65,536
- without `torch.compile`: a third slower at 65,536
- sparse gradients through a compiled lookup: not supported; it stays outside
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.turns import Turns, answering
from bench.workload import (
    HELD_ROWS,
    LAYERS,
    LR_DENSE,
    LR_EMBED,
    NUMBERS,
    WIDTH,
    Rows,
    field_sizes,
    offsets,
    start_kernels,
    start_table,
)


class DeepFM(nn.Module):
    """ids (B, F), rows of the table; numbers (B, N); labels (B,) -> mean loss ()."""

    def __init__(self, sizes: list[int], *, sparse: bool, precision: str) -> None:
        super().__init__()
        self.products = torch.bfloat16 if precision == "bfloat16" else None
        start = np.pad(start_table(sizes), ((0, 0), (0, 1)))  # the last column holds the linear weights
        self.table = nn.Embedding.from_pretrained(torch.from_numpy(start), freeze=False, sparse=sparse)
        self.linear = nn.Linear(NUMBERS, 1)
        layers = [nn.Linear(m, n) for m, n in itertools.pairwise(LAYERS)]
        for layer, kernel in zip(layers, start_kernels(), strict=True):
            layer.weight.data = torch.from_numpy(kernel.T.copy())
            layer.bias.data.zero_()
        hidden = [part for layer in layers[:-1] for part in (layer, nn.ReLU())]
        self.mlp = nn.Sequential(*hidden, layers[-1])

    def forward(self, ids: torch.Tensor, numbers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss."""
        return self.loss_of_rows(self.table(ids), numbers, labels)

    def loss_of_rows(self, rows: torch.Tensor, numbers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The same from the table's rows, (B, F, D+1)."""
        embeddings = rows[:, :, :WIDTH]  # (B, F, D)
        total = embeddings.sum(1)  # (B, D)
        pairs = 0.5 * (total * total - (embeddings * embeddings).sum(1)).sum(1)  # (B,)
        with torch.autocast(rows.device.type, self.products, enabled=self.products is not None):
            deep = self.mlp(torch.cat((embeddings.flatten(1), numbers), 1))[:, 0].float()  # (B,)
        first = rows[:, :, WIDTH].sum(1) + self.linear(numbers)[:, 0]  # (B,)
        return binary_cross_entropy_with_logits(first + pairs + deep, labels)


def main(turns: Turns) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--ids", type=int, required=True)
    parser.add_argument("--gradients", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the MLP's products")
    arguments = parser.parse_args()
    sizes = field_sizes(arguments.ids)
    device = torch.device(arguments.device)
    model = DeepFM(sizes, sparse=arguments.gradients == "sparse", precision=arguments.precision).to(device)
    table = [model.table.weight]
    dense = [weight for name, weight in model.named_parameters() if not name.startswith("table")]
    if arguments.gradients == "sparse":
        optimizers = [torch.optim.SparseAdam(table, lr=LR_EMBED), torch.optim.Adam(dense, lr=LR_DENSE, fused=True)]
        model.loss_of_rows = torch.compile(model.loss_of_rows, dynamic=False)
    else:
        groups = [{"params": table, "lr": LR_EMBED}, {"params": dense, "lr": LR_DENSE}]
        optimizers = [torch.optim.Adam(groups, fused=True)]
        model.compile(dynamic=False)
    count = HELD_ROWS // arguments.batch_size
    batches = tensors(Rows.read(arguments.data), sizes, arguments.batch_size, count)
    source = itertools.cycle([tuple(part.to(device) for part in batch) for batch in batches])

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        model(*next(source)).backward()
        for optimizer in optimizers:
            optimizer.step()

    if device.type == "cuda":
        turns.serve(step, finish=torch.cuda.synchronize, peak_device_bytes=torch.cuda.max_memory_allocated)
    else:
        turns.serve(step)


def tensors(rows: Rows, sizes: list[int], batch_size: int, count: int) -> list[tuple[torch.Tensor, ...]]:
    """The first `count` batches, as they enter the model."""
    batches = (rows.batch(index, batch_size) for index in range(count))
    return [
        (torch.from_numpy(b.ids + offsets(sizes)), torch.tensor(b.numbers), torch.tensor(b.labels)) for b in batches
    ]


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
