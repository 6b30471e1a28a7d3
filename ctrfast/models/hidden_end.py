"""How a hidden layer ends: norm, activation, dropout."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.tower_config import TowerSettings

_EPSILON = 1e-5
_SLOWEST = 0.01  # share of a pass in the averages, once there were a hundred
_BEYOND_SEEDS = 2**42  # more than a layer's seed can be


def _gelu(inputs: tf.Tensor) -> tf.Tensor:
    """X (1 + erf(x / sqrt 2)) / 2; TensorFlow's own has a function that ONNX lacks."""
    return 0.5 * inputs * (1.0 + tf.math.erf(inputs * 0.5**0.5))


_ACTIVATIONS = {"relu": tf.nn.relu, "gelu": _gelu, "silu": tf.nn.silu, "tanh": tf.tanh}


class BatchNorm(keras.layers.Layer):  # type: ignore[misc]
    """gamma (x - mean) / sqrt(variance + 1e-5) + beta, (B, H) -> (B, H).

    In training, mean and variance are those of the rows of the pass: a micro-batch's, a replica's. Otherwise they are
    the averages of the passes so far, all of one weight up to the hundredth, then moving with a momentum of 0.99.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1; passes of a part of the batch as in Hoffer et al. 2017,
    arXiv:1705.08741, Algorithm 1 (ghost batch norm).
    Differs from the sources: the averages' first hundred passes, since a run at large batch has few.
    """

    def __init__(self, width: int, passes: tf.Variable, name: str) -> None:
        super().__init__(name=name)
        self._passes = passes
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(width,), initializer="zeros")
        self.mean = self.add_weight(name="mean", shape=(width,), initializer="zeros", trainable=False)
        self.variance = self.add_weight(name="variance", shape=(width,), initializer="ones", trainable=False)

    def call(self, inputs: tf.Tensor, is_training: bool) -> tf.Tensor:
        """Inputs (B, H) -> (B, H)."""
        mean, variance = self.mean, self.variance
        if is_training:
            mean, variance = tf.nn.moments(inputs, axes=0)  # (H,), (H,)
            share = tf.maximum(_SLOWEST, 1.0 / tf.cast(self._passes, tf.float32))
            for average, now in ((self.mean, mean), (self.variance, variance)):
                average.assign_add(share * (tf.stop_gradient(now) - average))
        return (inputs - mean) * tf.math.rsqrt(variance + _EPSILON) * self.gamma + self.beta


class HiddenEnd(keras.layers.Layer):  # type: ignore[misc]
    """Norm, activation and dropout of a layer's product, (B, H) float32 -> (B, H) float32.

    Args:
        width: H.
        settings: say which.
        passes: of training so far, where a norm or dropout needs it.
        seed: of dropout.
        name: of the layer.
    """

    def __init__(self, width: int, settings: TowerSettings, passes: tf.Variable | None, seed: int, name: str) -> None:
        super().__init__(name=name)
        self._activation, self._dropout = _ACTIVATIONS[settings.activation], settings.dropout
        self._passes, self._seed = passes, seed
        self.norm: keras.layers.Layer | None = None
        if settings.norm == "batch":
            self.norm = BatchNorm(width, passes, "norm")
        elif settings.norm == "layer":
            self.norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")
        self._is_batch_norm = settings.norm == "batch"

    def call(self, products: tf.Tensor, is_training: bool) -> tf.Tensor:
        """Products (B, H) -> (B, H). Dropout is drawn by pass and replica."""
        if self.norm is not None:
            products = self.norm(products, is_training) if self._is_batch_norm else self.norm(products)
        outputs = self._activation(products)
        if not (is_training and self._dropout):
            return outputs
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        seed = tf.stack([self._seed + replica * _BEYOND_SEEDS, self._passes])
        return tf.nn.experimental.stateless_dropout(outputs, self._dropout, seed)
