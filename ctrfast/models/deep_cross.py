"""What the deep & cross networks share: crosses of the joined input beside an MLP on the same input."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import CROSS_LAYERS
from ctrfast.models.base import CtrModel


class DeepCross(CtrModel):
    """Logit = linear(x) + w^T x_L + MLP(x_0), with x_0 = [e, x] and x_L what the crosses make of it.

    w^T x_L + MLP(x_0) is the sources' combination layer over [x_L, h]: one weight vector, cut in two.
    Differs from the sources: a linear part beside, which the fused table's last column is for.

    A subclass builds `self.crosses` in `_make_cross`; each is called with (x_0, x_l) and gives x_{l+1}.
    """

    def _make_parts(self) -> None:
        config = self.config
        self.crosses = [self._make_cross(index) for index in range(config.cross_layers or CROSS_LAYERS)]
        self.of_crosses = keras.layers.Dense(1, use_bias=False, kernel_initializer=self._glorot(), name="of_crosses")
        self.mlp = self._make_mlp()

    def _make_cross(self, index: int) -> keras.layers.Layer:
        """The cross layer of a depth."""
        raise NotImplementedError

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). The crosses compute in float32, whatever the input's type."""
        start = tf.cast(joined, tf.float32)
        crossed = start
        for cross in self.crosses:
            crossed = cross(start, crossed)  # (B, F*D + N)
        of_crosses = tf.squeeze(self.of_crosses(crossed), axis=1)  # (B,)
        return self.join_logits(of_crosses, self.mlp(joined))  # (B,)
