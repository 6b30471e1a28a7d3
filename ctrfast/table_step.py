"""The training step in TensorFlow alone: look rows up, forward, backward, update; for GPUs, replicas, and all rules.

On a GPU the whole batch runs at once, and the whole step is one compiled function. On a CPU the batch runs in
micro-batches, the products as operations between compiled parts (`ctrfast.step` says why).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.gradients import Gradients, weights_of
from ctrfast.models import CtrModel
from ctrfast.models.pooling import Pooling
from ctrfast.optim.table_optimizer import TableOptimizer
from ctrfast.traced import traced


class TableStep:
    """Callable: one optimizer step on a batch; returns its mean loss and the clip counts per table.

    Args:
        model: the network.
        optimizer: holds the table and all weights.
        batch_size: B, fixed, so that one compilation serves the run.
        micro_batch_size: rows of one forward and backward pass; `None` for the whole batch.
        jit: compile all of that pass, and where it is the whole batch's, the update with it; else only what the network
            does element by element, and the update.
        precision: of the MLP's products: float32, bfloat16 or float16.
        replicas: how many of these share the batch, B / replicas rows each.
        pooling: of the fields of lists, where there are any.

    Attributes:
        experts: how they are used, where the network has mixtures.
    """

    def __init__(
        self,
        model: CtrModel,
        optimizer: TableOptimizer,
        batch_size: int,
        *,
        micro_batch_size: int | None,
        jit: bool,
        precision: str,
        replicas: int,
        pooling: Pooling | None,
    ) -> None:
        self.optimizer = optimizer
        self._rows = batch_size // replicas
        self._micro_batch_size = micro_batch_size
        self._of_rows = Gradients(
            model, optimizer.dense, batch_size, jit_arrange=not jit, precision=precision, pooling=pooling
        )
        self.experts = self._of_rows.experts
        self._gradients_of = traced(self._gradients, jit_compile=True) if jit else self._gradients
        takes_all = micro_batch_size is None or micro_batch_size >= self._rows
        compiles_all = jit and takes_all and not optimizer.lists_rows
        S, N, T = pooling.slots if pooling else model.id_fields, model.numeric_fields, model.tasks
        self._run = traced(
            self._step,
            input_signature=(
                tf.TensorSpec((batch_size, S), tf.int32),
                tf.TensorSpec((batch_size, N), tf.float32),
                tf.TensorSpec((batch_size,) if T == 1 else (batch_size, T), tf.float32),
            ),
            jit_compile=compiles_all or None,
        )
        self._run_of_rows = traced(
            self._step_of_rows,
            input_signature=(tf.TensorSpec((None, S + N + T), tf.float32), tf.TensorSpec((batch_size,), tf.int32)),
            jit_compile=compiles_all or None,
        )
        self._slots, self._inputs = S, S + N

    def __call__(self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Ids (B, S) int32 fused rows, numbers (B, N), labels (B,) or (B, T) -> loss (), present, clipped by table."""
        loss, present, clipped = self._run(ids, numbers, labels)
        return loss, present, clipped

    def of_rows(self, words: tf.Tensor, rows: npt.NDArray[np.int32]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The same on rows (B,) of all rows (R, S+N+T) in the device's memory (`ctrfast.data.batches.read_words`)."""
        loss, present, clipped = self._run_of_rows(words, rows)
        return loss, present, clipped

    def _step_of_rows(self, words: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        taken = tf.gather(words, rows)  # (B, S+N+T)
        ids = tf.bitcast(taken[:, : self._slots], tf.int32)  # (B, S)
        labels = taken[:, self._inputs :]  # (B, T)
        labels = tf.squeeze(labels, axis=1) if labels.shape[1] == 1 else labels
        return self._step(ids, taken[:, self._slots : self._inputs], labels)

    def _step(self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        loss, rows, dense = self.gradients(ids, numbers, labels, weights_of(labels))
        present, clipped = self.optimizer.apply(ids, rows, dense)
        return loss, present, clipped

    def gradients(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Share of the batch's mean loss (), and its gradients: by looked-up row, by dense variable.

        weights: of the tasks, `ctrfast.gradients.weights_of` the batch of all replicas.
        """
        micro = self._micro_batch_size
        if micro is None or micro >= self._rows:
            loss, rows, dense = self._gradients_of(ids, numbers, labels, weights)
        else:
            loss, rows, dense = self._accumulate(ids, numbers, labels, weights, micro)
        return loss, rows, dense

    def _gradients(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        return self._of_rows(tf.gather(self.optimizer.table, ids), ids, numbers, labels, weights)

    def _accumulate(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None, micro: int
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The same over micro-batches, one after the other: only the row gradients grow with the batch."""
        count = -(-self._rows // micro)
        width = self.optimizer.table.shape[1]
        parts = tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=(None, ids.shape[1], width))

        def body(
            index: tf.Tensor, parts: tf.TensorArray, loss: tf.Tensor, dense: list[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor, list[tf.Tensor]]:
            start = index * micro
            end = tf.minimum(start + micro, self._rows)
            part, rows, gradients = self._gradients_of(ids[start:end], numbers[start:end], labels[start:end], weights)
            summed = [total + gradient for total, gradient in zip(dense, gradients, strict=True)]
            return index + 1, parts.write(index, rows), loss + part, summed

        zeros = [tf.zeros(variable.shape) for variable in self.optimizer.dense]
        _, parts, loss, dense = tf.while_loop(
            lambda index, *_: index < count, body, (0, parts, 0.0, zeros), parallel_iterations=1
        )
        rows = tf.ensure_shape(parts.concat(), (self._rows, ids.shape[1], width))
        return loss, rows, dense
