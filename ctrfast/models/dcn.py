"""DCN: crosses with one weight vector per layer."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.deep_cross import DeepCross


class VectorCross(keras.layers.Layer):  # type: ignore[misc]
    """x_{l+1} = x_0 (w^T x_l) + b + x_l.  Wang et al. 2017, arXiv:1708.05123, Eq. 3."""

    def __init__(self, width: int, initializer: keras.initializers.Initializer, name: str) -> None:
        super().__init__(name=name)
        self.kernel = self.add_weight(name="kernel", shape=(width, 1), initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, start: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """x_0 and x_l (B, H0) -> x_{l+1} (B, H0)."""
        return start * tf.matmul(inputs, self.kernel) + self.bias + inputs


class DCN(DeepCross):
    """Deep & Cross Network with vector crosses.

    Source: Wang et al. 2017, arXiv:1708.05123, Eq. 3-5.
    Differs from the source: see `DeepCross`.
    """

    def _make_cross(self, index: int) -> keras.layers.Layer:
        return VectorCross(self.width, self._glorot(), name=f"cross_{index}")
