"""FCN (DCNv3): crosses of linear and of exponential order, without an MLP."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import CROSS_LAYERS
from ctrfast.models.base import CtrModel

_EPSILON = 1e-5


class MaskedCross(keras.layers.Layer):  # type: ignore[misc]
    """factor * ([c, c * relu(LN(c))] + b) + x, c = W x half as wide: (B, H0), (B, H0) -> (B, H0).

    factor is the input x_1 in a network of linear order, and x itself in one of exponential order.

    Source: Li et al. 2024, arXiv:2407.13349, Eq. 5-7; where the bias stands is the authors' code's.
    """

    def __init__(self, width: int, initializer: keras.initializers.Initializer, name: str) -> None:
        super().__init__(name=name)
        half = -(-width // 2)
        self._rest = width - half
        self.kernel = self.add_weight(name="kernel", shape=(width, half), initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")
        self.norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")

    def call(self, factor: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Factor and x (B, H0) -> (B, H0)."""
        c = tf.matmul(inputs, self.kernel)  # (B, H0 / 2)
        masked = (c * tf.nn.relu(self.norm(c)))[:, : self._rest]
        return factor * (tf.concat((c, masked), axis=1) + self.bias) + inputs


class FCN(CtrModel):
    """Logit = linear(x) + (w^T LCN([e, x]) + v^T ECN([e, x])) / 2, each with `cross_layers`.

    Source: Li et al. 2024, "FCN: Fusing Exponential and Linear Cross Network", arXiv:2407.13349, Eq. 4-9.
    Differs from the source: trained with the log loss of their mean alone, not with one for each half too (Tri-BCE);
    one vector per field, not two; where [e, x] is odd, the mask's last place is left out; a linear part beside, which
    the fused table's last column is for.
    """

    def _make_parts(self) -> None:
        depth = self.config.cross_layers or CROSS_LAYERS
        self.linear_order, self.exponential_order = (
            [MaskedCross(self.width, self._glorot(), f"{name}_{index}") for index in range(depth)]
            for name in ("linear", "exponential")
        )
        self.of_linear, self.of_exponential = (
            keras.layers.Dense(1, kernel_initializer=self._glorot(), name=f"of_{name}")
            for name in ("linear", "exponential")
        )

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). Crosses compute in float32, whatever the input's type."""
        start = tf.cast(joined, tf.float32)
        linear = exponential = start
        for cross in self.linear_order:
            linear = cross(start, linear)
        for cross in self.exponential_order:
            exponential = cross(exponential, exponential)
        return 0.5 * tf.squeeze(self.of_linear(linear) + self.of_exponential(exponential), axis=1)  # (B,)
