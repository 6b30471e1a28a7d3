"""Gradients of a finished run's embedding rows on a batch, each row's occurrences added up. Needs TensorFlow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.data.batches import Batch
from ctrfast.gradients import Gradients, weights_of
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.traced import traced

Doubles = npt.NDArray[np.float64]


class RowGradients:
    """Callable: a batch -> its distinct rows, their occurrences, embeddings and gradients of the mean loss.

    Args:
        run: a finished run.
        batch_size: B, by which sums become means.
        micro_batch_size: rows of one forward and backward pass.
    """

    def __init__(self, run: Run, *, batch_size: int, micro_batch_size: int) -> None:
        self._table = (network := open_network(run)).table
        self._size = micro_batch_size
        self._gradients = traced(
            Gradients(network.model, [], batch_size, jit_arrange=False, precision="float32", pooling=network.pooling),
            reduce_retracing=True,
        )

    def __call__(self, batch: Batch) -> tuple[npt.NDArray[np.int64], Doubles, Doubles, Doubles]:
        """Rows (U,) of the fused table, counts (U,), embeddings (U, D), gradients (U, D)."""
        rows, places, counts = np.unique(batch.ids, return_inverse=True, return_counts=True)
        weights = tf.gather(self._table, rows).numpy()[:, :-1].astype(np.float64)  # without the linear weight
        sums, of_tasks = np.zeros(weights.shape), weights_of(batch.labels)
        for start in range(0, len(batch), self._size):
            part = slice(start, start + self._size)
            looked_up = tf.gather(self._table, batch.ids[part])  # (R, S, D+1)
            inputs = (batch.ids[part], batch.numbers[part], batch.labels[part])
            _, gradients, _ = self._gradients(looked_up, *inputs, of_tasks)
            flat = gradients.numpy().reshape(-1, gradients.shape[-1])[:, :-1]
            np.add.at(sums, places.reshape(batch.ids.shape)[part].reshape(-1), flat)
        return rows.astype(np.int64), counts.astype(np.float64), weights, sums
