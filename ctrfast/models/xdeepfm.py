"""xDeepFM: a compressed interaction network (CIN) and an MLP on the same embeddings."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import CIN_WIDTH, CROSS_LAYERS
from ctrfast.models.base import CtrModel


class CinLayer(keras.layers.Layer):  # type: ignore[misc]
    """x^k_h = sum over i, j of W_hij (x^{k-1}_i * x^0_j): (B, D, H), the embedding's width first, or summed over it.

    Source: Lian et al. 2018, arXiv:1803.05170, Eq. 6.
    """

    def __init__(self, maps: int, fields: int, width: int, initializer: keras.initializers.Initializer, name: str):
        super().__init__(name=name)
        self.kernel = self.add_weight(name="kernel", shape=(maps * fields, width), initializer=initializer)

    def call(self, maps: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        """Feature maps (B, D, H'), (B, D, F) -> (B, D, H)."""
        D, count, fields = maps.shape[1], maps.shape[2], start.shape[2]
        # As matrix products, whose gradients are such too: those of an element-wise one write all products twice more.
        products = tf.matmul(maps[:, :, :, tf.newaxis], start[:, :, tf.newaxis, :])  # (B, D, H', F)
        # Two dimensions: the kernel's gradient is a product then, not a sum of one for each impression.
        turned = tf.matmul(tf.reshape(products, (-1, count * fields)), self.kernel)  # (B*D, H)
        return tf.reshape(turned, (-1, D, turned.shape[1]))  # (B, D, H)

    def summed(self, maps: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        """Sum over D of what `call` returns, (B, D, H'), (B, D, F) -> (B, H), with D times fewer products.

        sum over d, i, j of W_hij x_id x_jd = sum over i, j of W_hij <x_i, x_j>: so inner products meet the kernel.
        """
        inner = tf.matmul(maps, start, transpose_a=True)  # (B, H', F)
        return tf.matmul(tf.reshape(inner, (-1, maps.shape[2] * start.shape[2])), self.kernel)  # (B, H)


class XDeepFM(CtrModel):
    """Logit = linear(x) + w^T [sum over D of x^1, ..., of x^L] + MLP([e, x]).

    `cross_layers` of the CIN, each with `interaction_width` feature maps.

    Source: Lian et al. 2018, "xDeepFM", KDD, arXiv:1803.05170, Eq. 6-9.
    Differs from the source: identity as the CIN's activation, which the source found best, and no split of its maps;
    numeric fields have no vectors, and enter the linear part and the MLP as values.
    """

    def _make_parts(self) -> None:
        width, maps = self.config.interaction_width or CIN_WIDTH, self.id_fields
        self.cin: list[CinLayer] = []
        for index in range(self.config.cross_layers or CROSS_LAYERS):
            self.cin.append(CinLayer(maps, self.id_fields, width, self._glorot(), f"cin_{index}"))
            maps = width
        self.of_cin = keras.layers.Dense(1, use_bias=False, kernel_initializer=self._glorot(), name="of_cin")
        self.mlp = self._make_mlp()

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). The CIN computes in float32, whatever the input's type."""
        start = tf.transpose(self._embeddings(joined), (0, 2, 1))  # (B, D, F)
        maps, sums = start, []
        for layer in self.cin[:-1]:
            maps = layer(maps, start)  # (B, D, H)
            sums.append(tf.reduce_sum(maps, axis=1))  # (B, H)
        sums.append(self.cin[-1].summed(maps, start))  # (B, H); nothing needs the last maps themselves
        return self.join_logits(tf.squeeze(self.of_cin(tf.concat(sums, axis=1)), axis=1), self.mlp(joined))  # (B,)
