"""DCN-Mix: each cross is a gated mixture of low-rank experts."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import EXPERT_RANK, EXPERTS
from ctrfast.models.deep_cross import DeepCross


class MixtureCross(keras.layers.Layer):  # type: ignore[misc]
    """x_{l+1} = sum_i softmax(G x_l)_i * x_0 * (U_i tanh(C_i tanh(V_i^T x_l)) + b) + x_l over E experts of rank R.

    Source: Wang et al. 2021, arXiv:2008.13535, Eq. 3 and 4.
    Differs from the source: softmax gates, and one bias for all experts of a layer.
    """

    def __init__(self, width: int, experts: int, rank: int, initializer: keras.initializers.Initializer, name: str):
        super().__init__(name=name)
        self._experts, self._rank = experts, rank
        # The experts lie side by side, so that one product serves them all.
        self.inward = self.add_weight(name="inward", shape=(width, experts * rank), initializer=initializer)
        self.core = self.add_weight(name="core", shape=(experts, rank, rank), initializer=initializer)
        self.outward = self.add_weight(name="outward", shape=(experts, rank, width), initializer=initializer)
        self.gate = self.add_weight(name="gate", shape=(width, experts), initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, start: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """x_0 and x_l (B, H0) -> x_{l+1} (B, H0)."""
        inward = tf.reshape(tf.tanh(tf.matmul(inputs, self.inward)), (-1, self._experts, self._rank))  # (B, E, R)
        core = tf.tanh(tf.einsum("ber,erq->beq", inward, self.core))  # (B, E, R)
        gates = tf.nn.softmax(tf.matmul(inputs, self.gate))  # (B, E)
        mixed = tf.einsum("beq,eqh->bh", core * gates[:, :, tf.newaxis], self.outward)  # (B, H0)
        return start * (mixed + self.bias) + inputs  # the gates sum to one, so the bias counts once


class DCNMix(DeepCross):
    """DCN-v2 with mixtures of low-rank crosses: `experts` of rank `low_rank` in each layer.

    Source: Wang et al. 2021, arXiv:2008.13535, section 3.
    Differs from the source: see `DeepCross` and `MixtureCross`.
    """

    def _make_cross(self, index: int) -> keras.layers.Layer:
        experts, rank = self.config.experts or EXPERTS, self.config.low_rank or EXPERT_RANK
        return MixtureCross(self.width, experts, rank, self._glorot(), name=f"cross_{index}")
