"""MaskNet: blocks whose input is masked by a vector made from the impression itself."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import CROSS_LAYERS, MASK_WIDTH
from ctrfast.models.base import CtrModel
from ctrfast.models.layers import join

_EPSILON = 1e-5
_AGGREGATION = 2  # times the mask's width: of the hidden layer that makes it; the source's reduction ratio


class MaskBlock(keras.layers.Layer):  # type: ignore[misc]
    """relu(LayerNorm(W (mask * inputs))), mask = W_2 relu(W_1 v + b_1) + b_2, v = embeddings and numbers.

    Source: Wang et al. 2021, arXiv:2102.07619, Eq. 4-9.
    """

    def __init__(self, inputs: int, width: int, initializers: list[keras.initializers.Initializer]) -> None:
        super().__init__()
        dense = keras.layers.Dense
        self.aggregate = dense(_AGGREGATION * inputs, "relu", kernel_initializer=initializers[0], name="aggregate")
        self.project = dense(inputs, kernel_initializer=initializers[1], name="project")
        self.hidden = dense(width, use_bias=False, kernel_initializer=initializers[2], name="hidden")
        self.norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")

    def call(self, given: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """V (B, F*D + N), inputs (B, I) -> (B, H)."""
        mask = self.project(self.aggregate(given))  # (B, I)
        return tf.nn.relu(self.norm(self.hidden(mask * inputs)))


class MaskNet(CtrModel):
    """Mask blocks: `cross_layers` of them, `interaction_width` wide.

    variant serial: logit = linear(x) + w^T block_L(...block_1(LN(e)))
    variant parallel: logit = linear(x) + MLP([block_1(LN(e)), ..., block_L(LN(e))])

    The serial form has no MLP, and takes neither `hidden` nor `tower`.

    Source: Wang et al. 2021, "MaskNet", DLP-KDD, arXiv:2102.07619, Eq. 4-13.
    Differs from the source: numeric fields have no vectors, and join the embeddings as values; a linear part beside,
    which the fused table's last column is for.
    """

    def _make_parts(self) -> None:
        width, count = self.config.interaction_width or MASK_WIDTH, self.config.cross_layers or CROSS_LAYERS
        self.is_serial = self.config.variant != "parallel"
        shape = (self.id_fields, self.config.embedding_dim)
        self.field_scales = self.add_weight(name="field_scales", shape=shape, initializer="ones")
        self.field_shifts = self.add_weight(name="field_shifts", shape=shape, initializer="zeros")
        inputs = [width if self.is_serial and index else self.width for index in range(count)]
        self.blocks = [MaskBlock(size, width, [self._glorot() for _ in range(3)]) for size in inputs]
        if self.is_serial:
            self.of_blocks = keras.layers.Dense(1, kernel_initializer=self._glorot(), name="of_blocks")
        else:
            self.mlp = self._make_mlp(count * width)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). Blocks compute in float32, whatever the input's type."""
        given = tf.cast(joined, tf.float32)
        embeddings = self._embeddings(joined)  # (B, F, D)
        with tf.name_scope("norm"):
            mean, variance = tf.nn.moments(embeddings, axes=2, keepdims=True)  # (B, F, 1): one norm for each field
            normed = (embeddings - mean) * tf.math.rsqrt(variance + _EPSILON) * self.field_scales + self.field_shifts
        inputs = join(normed, given[:, self.id_fields * self.config.embedding_dim :])  # (B, F*D + N)
        if self.is_serial:
            for block in self.blocks:
                inputs = block(given, inputs)  # (B, H)
            return tf.squeeze(self.of_blocks(inputs), axis=1)  # (B,)
        hidden = tf.concat([block(given, inputs) for block in self.blocks], axis=1)  # (B, L*H)
        return self.mlp(tf.cast(hidden, joined.dtype))  # (B,)
