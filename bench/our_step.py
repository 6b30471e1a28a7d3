"""ctrfast's training step on the workload, from the common start: parquet -> batches -> step.

step = OurStep(Dataset.open(folder), batch_size=65_536, update="dense")
source = endless(dataset, 65_536)
step(next(source))                                  # the batch's loss
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bench.workload import (
    BOUND,
    CHECKED_STEPS,
    CLIP_RATIO,
    L2,
    LR_DENSE,
    LR_EMBED,
    SEED,
    Rows,
    offsets,
    start_kernels,
    start_table,
)
from ctrfast.data.batches import Batch, Shuffle, batches, prefetch, row_numbers
from ctrfast.data.shards import Dataset
from ctrfast.model_config import ModelConfig
from ctrfast.network import Network
from ctrfast.optim.step_settings import StepSettings
from ctrfast.step import make_step
from ctrfast.table_step import TableStep

POOL_ROWS = 524_288  # a quarter of the split: the pool is refilled all the time, as with data larger than memory


def endless(dataset: Dataset, batch_size: int) -> Iterator[Batch]:
    """Shuffled batches, epoch after epoch."""
    epoch = 0
    while True:
        shuffle = Shuffle(seed=(SEED, epoch), rows=POOL_ROWS)
        yield from prefetch(batches(dataset, "train", batch_size, shuffle=shuffle, drop_remainder=True))
        epoch += 1


def endless_numbers(dataset: Dataset, batch_size: int) -> Iterator[npt.NDArray[np.int32]]:
    """The same batches by the numbers of their rows."""
    epoch = 0
    while True:
        yield from prefetch(row_numbers(dataset, "train", batch_size, shuffle=Shuffle((SEED, epoch), POOL_ROWS)))
        epoch += 1


def step_settings(update: Literal["dense", "sparse"]) -> StepSettings:
    """CowClip with the workload's values."""
    return StepSettings(
        lr_dense=LR_DENSE,
        lr_embed=LR_EMBED,
        l2=L2,
        clip="adaptive_column",
        clip_ratio=CLIP_RATIO,
        bound=BOUND,
        warmup_steps=1,
        total_steps=2**31,
        update=update,
    )


class OurStep:
    """A network from the common start, its optimizer and its step."""

    def __init__(
        self, dataset: Dataset, batch_size: int, update: Literal["dense", "sparse"], precision: str = "float32"
    ) -> None:
        settings = step_settings(update)
        network = Network(ModelConfig(), dataset.fitted, seed=SEED, embedding_init_std=0.0)
        table = start_table(dataset.fitted.table_sizes)
        network.table.assign(np.concatenate((table, np.zeros((len(table), 1), np.float32)), axis=1))
        kernels = [variable for variable in network.model.deep_variables if variable.shape.rank == 2]
        for variable, kernel in zip(kernels, start_kernels(), strict=True):
            variable.assign(kernel)
        model = network.model
        self._batch_size = batch_size
        self._offsets = offsets(dataset.fitted.table_sizes)
        starts = dataset.fitted.table_starts
        self._step = make_step(model, network.table, starts, settings, batch_size=batch_size, precision=precision)
        self._output_bias = model.deep_variables[-1]

    def first_losses(self, rows: Rows) -> list[float]:
        """Mean cross-entropies of the first steps, to be compared with a peer's."""
        losses = []
        for index in range(CHECKED_STEPS):
            batch = rows.batch(index, self._batch_size)
            losses.append(float(self._step(batch.ids + self._offsets, batch.numbers, batch.labels)[0]))
            # The peer's MLP has no bias at its output, where ours adds to the linear part's.
            self._output_bias.assign(np.zeros(self._output_bias.shape, np.float32))
        return losses

    def begin(self, batch: Batch) -> tf.Tensor | float:
        """One step, which a GPU may still be taking; its loss."""
        return self._step(batch.ids, batch.numbers, batch.labels)[0]

    def begin_rows(self, words: tf.Tensor, rows: npt.NDArray[np.int32]) -> tf.Tensor:
        """The same on rows (B,) of a split in the GPU's memory."""
        if not isinstance(self._step, TableStep):
            raise SystemExit("Rows in a GPU's memory need a GPU. Take them from disk: --input parquet.")
        return self._step.of_rows(words, rows)[0]

    def __call__(self, batch: Batch) -> float:
        """One step; waits for its end."""
        return float(self.begin(batch))
