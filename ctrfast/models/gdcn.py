"""GDCN: crosses with a gate on what each adds."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.deep_cross import DeepCross


class GatedCross(keras.layers.Layer):  # type: ignore[misc]
    """x_{l+1} = x_0 * (W x_l + b) * sigmoid(G x_l) + x_l.

    Source: Wang et al. 2023, arXiv:2311.04635, Eq. 3.
    """

    def __init__(self, width: int, initializers: list[keras.initializers.Initializer], name: str) -> None:
        super().__init__(name=name)
        self.kernel = self.add_weight(name="kernel", shape=(width, width), initializer=initializers[0])
        self.gate = self.add_weight(name="gate", shape=(width, width), initializer=initializers[1])
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, start: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """x_0 and x_l (B, H0) -> x_{l+1} (B, H0)."""
        gate = tf.sigmoid(tf.matmul(inputs, self.gate))  # (B, H0)
        return start * (tf.matmul(inputs, self.kernel) + self.bias) * gate + inputs


class GDCN(DeepCross):
    """Gated crosses beside an MLP.

    Source: Wang et al. 2023, "Towards Deeper, Lighter and Interpretable Cross Network", CIKM, arXiv:2311.04635, the
    parallel structure (GDCN-P).
    Differs from the source: see `DeepCross`; no field-level dimension optimization.
    """

    def _make_cross(self, index: int) -> keras.layers.Layer:
        return GatedCross(self.width, [self._glorot(), self._glorot()], name=f"cross_{index}")
