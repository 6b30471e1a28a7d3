"""Forward and backward: from looked-up rows to the loss and its gradients.

In half precision the MLP's products are computed in that type; weights, biases, moments and the update stay float32.
float16 gradients are kept from vanishing by a scaled loss (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). A
row's gradient shrinks as 1/B and a weight's grows by the rows: the scale is between, 1024 sqrt(B / 1024).

A mixture's load-balancing loss is that of the rows of one pass: of a batch, a micro-batch or a replica's share. A step
minimises the passes' mean by rows, beside the mean log loss; the loss that is returned is the log loss alone. How the
experts are used is added up beside (`ctrfast.expert_tally`).

Of several labels, the loss is the sum of the tasks' mean log losses, each over the rows of the whole batch whose label
is known; one that is unknown (-1) has no gradient.

Source: Tang et al. 2020, doi 10.1145/3383313.3412236, section 4.3 (each task's loss over the rows that it has).
Differs from the source: tasks weigh alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from ctrfast.expert_tally import ExpertTally
from ctrfast.models import CtrModel
from ctrfast.models.pooling import Pooling
from ctrfast.traced import traced

_LOSS_SCALE, _LOSS_SCALE_BATCH = 1024.0, 1024


def known_labels(labels: tf.Tensor) -> tf.Tensor:
    """Labels (R, T) -> how many are known, (T,) float32."""
    return tf.reduce_sum(tf.cast(labels >= 0, tf.float32), axis=0)


def task_weights(known: tf.Tensor) -> tf.Tensor:
    """Known labels of a batch (T,) -> what each of them counts in the loss, (T,)."""
    return 1.0 / tf.maximum(known, 1.0)


def weights_of(labels: tf.Tensor) -> tf.Tensor | None:
    """`task_weights` of a whole batch's labels (B, T); `None` for those of one task, (B,)."""
    return task_weights(known_labels(labels)) if len(labels.shape) == 2 else None


class Gradients:
    """Callable: rows of a batch or of a part of it -> their share of the batch's mean loss, and its gradients.

    Args:
        model: the network.
        dense: its weights.
        batch_size: B, by which sums become means.
        jit_arrange: compile what the network does element by element and leave the matrix products to operations; else
            the caller compiles all of it.
        precision: of the MLP's products: float32, bfloat16 or float16.
        pooling: of the fields of lists, where there are any.

    Attributes:
        experts: how they are used, where the network has mixtures.
    """

    def __init__(
        self,
        model: CtrModel,
        dense: Sequence[tf.Variable],
        batch_size: int,
        *,
        jit_arrange: bool,
        precision: str,
        pooling: Pooling | None,
    ) -> None:
        self._model = model
        self._dense = dense
        self._batch_size = batch_size
        self._pools = pooling is not None
        self._arrange = model.arrange if pooling is None else partial(_pool_and_arrange, model, pooling)
        if jit_arrange:
            self._arrange = traced(self._arrange, jit_compile=True)
        self._precision = tf.as_dtype(precision)
        growth = max(1.0, batch_size / _LOSS_SCALE_BATCH) ** 0.5
        self._loss_scale = _LOSS_SCALE * growth if precision == "float16" else 1.0
        self.experts = ExpertTally.of(model)

    def __call__(
        self,
        rows: tf.Tensor,
        ids: tf.Tensor,
        numbers: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Rows (R, S, D+1) of ids (R, S), numbers (R, N), labels (R,) -> loss (), gradients by row, by variable.

        Of several tasks, labels are (R, T), and weights (T,) those of `weights_of` the whole batch.
        """
        inputs = (rows, numbers, ids) if self._pools else (rows, numbers)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([rows, *self._dense])
            joined, shallow = self._arrange(*inputs)  # (R, F*D + N), (R,)
            with self._model.watched(is_training=True) as seen:
                deep = self._model.deep(tf.cast(joined, self._precision))
                logits = self._model.join_logits(shallow, deep)  # (R,) or (R, T)
            loss = self._loss(labels, logits, weights)
            scaled = (loss + self._share_of(seen.penalties, labels)) * self._loss_scale
        if self.experts is not None:
            self.experts.add(seen, tf.shape(labels)[0])
        row_gradients, *dense_gradients = tape.gradient(scaled, [rows, *self._dense])
        if self._loss_scale != 1.0:
            row_gradients /= self._loss_scale
            dense_gradients = [gradient / self._loss_scale for gradient in dense_gradients]
        return loss, row_gradients, dense_gradients

    def _loss(self, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
        """Labels and logits (R,), or (R, T) with weights (T,) -> these rows' share of the batch's loss, ()."""
        if weights is None:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)  # (R,)
            return tf.reduce_sum(losses) / self._batch_size
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.maximum(labels, 0.0), logits=logits)  # (R, T)
        return tf.reduce_sum(tf.where(labels >= 0, losses, 0.0) * weights)

    def _share_of(self, penalties: Sequence[tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
        """What the towers add to the loss, (): means over these rows count by their share of the batch."""
        if not penalties:
            return 0.0
        return tf.add_n(penalties) * (tf.cast(tf.shape(labels)[0], tf.float32) / self._batch_size)


def _pool_and_arrange(
    model: CtrModel, pooling: Pooling, rows: tf.Tensor, numbers: tf.Tensor, ids: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return model.arrange(pooling(rows, ids), numbers)
