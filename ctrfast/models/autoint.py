"""AutoInt: self-attention over the fields, and an MLP."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import ATTENTION_WIDTH, CROSS_LAYERS, HEADS
from ctrfast.models.base import CtrModel


class InteractingLayer(keras.layers.Layer):  # type: ignore[misc]
    """relu([head_1, ..., head_h] + W_res e), head = softmax((W_q e)(W_k e)^T) W_v e: (B, F, A') -> (B, F, A).

    Source: Song et al. 2019, arXiv:1810.11921, Eq. 5-8.
    """

    def __init__(self, width: int, heads: int, initializers: list[keras.initializers.Initializer], name: str):
        super().__init__(name=name)
        self._heads, self._width = heads, width
        names = ("query", "key", "value", "residual")
        self.projections = [
            keras.layers.Dense(width, use_bias=False, kernel_initializer=start, name=part)
            for part, start in zip(names, initializers, strict=True)
        ]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Vectors of the fields (B, F, A') -> (B, F, A)."""
        fields, head = inputs.shape[1], self._width // self._heads
        *parts, residual = [projection(inputs) for projection in self.projections]  # (B, F, A) each
        query, key, value = (
            tf.transpose(tf.reshape(part, (-1, fields, self._heads, head)), (0, 2, 1, 3)) for part in parts
        )  # (B, h, F, A/h) each
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))  # (B, h, F, F)
        heads = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))  # (B, F, h, A/h)
        return tf.nn.relu(tf.reshape(heads, (-1, fields, self._width)) + residual)


class AutoInt(CtrModel):
    """Logit = linear(x) + w^T [layer_L(...layer_1(e))] + MLP([e, x]).

    `cross_layers` interacting layers of `interaction_width`, cut into `heads`.

    Source: Song et al. 2019, "AutoInt", CIKM, arXiv:1810.11921, Eq. 5-9, and its AutoInt+ with an MLP beside.
    Differs from the source: numeric fields have no vectors, and enter the linear part and the MLP as values; a linear
    part beside, which the fused table's last column is for.
    """

    def _make_parts(self) -> None:
        width, heads = self.config.interaction_width or ATTENTION_WIDTH, self.config.heads or HEADS
        self.layers_of_attention = [
            InteractingLayer(width, heads, [self._glorot() for _ in range(4)], f"interacting_{index}")
            for index in range(self.config.cross_layers or CROSS_LAYERS)
        ]
        self.of_attention = keras.layers.Dense(
            1, use_bias=False, kernel_initializer=self._glorot(), name="of_attention"
        )
        self.mlp = self._make_mlp()

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). Attention computes in float32, whatever the input's type."""
        fields = self._embeddings(joined)  # (B, F, D)
        for layer in self.layers_of_attention:
            fields = layer(fields)  # (B, F, A)
        flat = tf.reshape(fields, (-1, fields.shape[1] * fields.shape[2]))  # (B, F*A)
        return self.join_logits(tf.squeeze(self.of_attention(flat), axis=1), self.mlp(joined))  # (B,)
