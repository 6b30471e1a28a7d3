"""The training step: look rows up, forward, backward, update.

On CPU, TensorFlow's matrix products run faster as operations than under XLA, all else runs faster compiled, and the
activations of a large batch fall out of the cache: forward and backward run in micro-batches, whatever the batch size,
the products as operations between compiled parts. A batch that touches few of the table's rows takes the optimizer's
form for that. On a GPU the whole batch runs at once and is compiled. `choose_execution` is the one place that decides.

In half precision the MLP's products are computed in that type; weights, biases, moments and the update stay float32.
float16 gradients are kept from vanishing by a scaled loss (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). A
row's gradient shrinks as 1/B and a weight's grows by the rows: the scale is between, 1024 sqrt(B / 1024).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from ctrfast.config import CPU_MICRO_BATCH_ROWS
from ctrfast.models import CtrModel
from ctrfast.models.pooling import Pooling
from ctrfast.optim.table_optimizer import TableOptimizer

_LOSS_SCALE, _LOSS_SCALE_BATCH = 1024.0, 1024


@dataclass(frozen=True)
class Execution:
    """How a step runs.

    micro_batch_size: rows of one forward and backward pass, `None` for the whole batch.
    jit: compile all of that pass; else only what the network does element by element.
    touched_share: take the optimizer's `touched` form where ids per batch, B*S, are at most this share of V.
    """

    micro_batch_size: int | None
    jit: bool
    touched_share: float


def choose_execution(micro_batch_size: int | None = None) -> Execution:
    """The fastest form for the devices at hand, by measurement on CPU, with the micro-batches of one's own if set.

    The activations of 8,192 rows stay in the cache. From an eighth of the table's rows on, one pass is as fast.
    """
    if tf.config.list_physical_devices("GPU"):
        return Execution(micro_batch_size, jit=True, touched_share=0.0)
    return Execution(micro_batch_size or CPU_MICRO_BATCH_ROWS, jit=False, touched_share=1 / 8)


class TrainStep:
    """Callable: one optimizer step on a batch; returns its mean loss and the clip counts per table.

    Args:
        model: the network.
        optimizer: holds the table and all weights.
        batch_size: B, fixed, so that one compilation serves the run.
        execution: how to run; `choose_execution` by default.
        precision: of the MLP's products: float32, bfloat16 or float16.
        replicas: how many of these share the batch, B / replicas rows each.
        pooling: of the fields of lists, where there are any.
    """

    def __init__(
        self,
        model: CtrModel,
        optimizer: TableOptimizer,
        batch_size: int,
        execution: Execution | None = None,
        precision: str = "float32",
        replicas: int = 1,
        pooling: Pooling | None = None,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._batch_size = batch_size
        self._rows = batch_size // replicas
        self._execution = execution or choose_execution()
        self._precision = tf.as_dtype(precision)
        growth = max(1.0, batch_size / _LOSS_SCALE_BATCH) ** 0.5
        self._loss_scale = _LOSS_SCALE * growth if precision == "float16" else 1.0
        self._pools = pooling is not None
        self._arrange = model.arrange if pooling is None else partial(_pool_and_arrange, model, pooling)
        self._gradients_of = self._gradients
        if self._execution.jit:
            self._gradients_of = tf.function(self._gradients, jit_compile=True)
        else:
            self._arrange = tf.function(self._arrange, jit_compile=True)
        S, N = pooling.slots if pooling else model.id_fields, model.numeric_fields
        is_sparse = batch_size * S <= self._execution.touched_share * optimizer.table.shape[0]
        self._touched = is_sparse and optimizer.has_touched_form()
        self._run = tf.function(
            self._step,
            input_signature=(
                tf.TensorSpec((batch_size, S), tf.int32),
                tf.TensorSpec((batch_size, N), tf.float32),
                tf.TensorSpec((batch_size,), tf.float32),
            ),
        )

    def __call__(self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Ids (B, S) int32 fused rows, numbers (B, N), labels (B,) -> loss (), present (T,), clipped (T,)."""
        loss, present, clipped = self._run(ids, numbers, labels)
        return loss, present, clipped

    def _step(self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        loss, rows, dense = self.gradients(ids, numbers, labels)
        present, clipped = self._optimizer.apply(ids, rows, dense, touched=self._touched)
        return loss, present, clipped

    def gradients(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Share of the batch's mean loss (), and its gradients: by looked-up row, by dense variable."""
        micro = self._execution.micro_batch_size
        if micro is None or micro >= self._rows:
            loss, rows, dense = self._gradients_of(ids, numbers, labels)
        else:
            loss, rows, dense = self._accumulate(ids, numbers, labels, micro)
        return loss, rows, dense

    def _gradients(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        rows = tf.gather(self._optimizer.table, ids)  # (B, S, D+1)
        inputs = (rows, numbers) if not self._pools else (rows, numbers, ids)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([rows, *self._optimizer.dense])
            joined, shallow = self._arrange(*inputs)  # (B, F*D + N), (B,)
            logits = shallow + self._model.deep(tf.cast(joined, self._precision))  # (B,)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)  # (B,)
            loss = tf.reduce_sum(losses) / self._batch_size
            scaled = loss * self._loss_scale
        row_gradients, *dense_gradients = tape.gradient(scaled, [rows, *self._optimizer.dense])
        if self._loss_scale != 1.0:
            row_gradients /= self._loss_scale
            dense_gradients = [gradient / self._loss_scale for gradient in dense_gradients]
        return loss, row_gradients, dense_gradients

    def _accumulate(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor, micro: int
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The same over micro-batches, one after the other: only the row gradients grow with the batch."""
        count = -(-self._rows // micro)
        width = self._optimizer.table.shape[1]
        parts = tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=(None, ids.shape[1], width))

        def body(
            index: tf.Tensor, parts: tf.TensorArray, loss: tf.Tensor, dense: list[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor, list[tf.Tensor]]:
            start = index * micro
            end = tf.minimum(start + micro, self._rows)
            part, rows, gradients = self._gradients_of(ids[start:end], numbers[start:end], labels[start:end])
            summed = [total + gradient for total, gradient in zip(dense, gradients, strict=True)]
            return index + 1, parts.write(index, rows), loss + part, summed

        zeros = [tf.zeros(variable.shape) for variable in self._optimizer.dense]
        _, parts, loss, dense = tf.while_loop(
            lambda index, *_: index < count, body, (0, parts, 0.0, zeros), parallel_iterations=1
        )
        rows = tf.ensure_shape(parts.concat(), (self._rows, ids.shape[1], width))
        return loss, rows, dense


def _pool_and_arrange(
    model: CtrModel, pooling: Pooling, rows: tf.Tensor, numbers: tf.Tensor, ids: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return model.arrange(pooling(rows, ids), numbers)
