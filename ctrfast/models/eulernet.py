"""EulerNet: interactions of any order, as sums of logarithms and angles in the complex plane."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import CROSS_LAYERS, ORDER_VECTORS
from ctrfast.models.base import CtrModel

_SMALLEST = 1e-8


class EulerLayer(keras.layers.Layer):  # type: ignore[misc]
    """Complex vectors of the fields (B, F, D) -> (B, K, D).

        explicit   exp(sum_j a_kj ln |z_j| + c_k) at the angle sum_j a_kj arg(z_j) + d_k
        implicit   relu(W Re z + b), relu(W Im z + b), joined over all fields

    Their sum is put out, as real and imaginary parts.

    Source: Tian et al. 2023, arXiv:2304.10711, Eq. 7-12.
    """

    def __init__(
        self, fields: int, orders: int, width: int, initializers: list[keras.initializers.Initializer], name: str
    ) -> None:
        super().__init__(name=name)
        self._fields, self._orders, self._width = fields, orders, width
        self.exponents = self.add_weight(name="exponents", shape=(fields, orders), initializer=initializers[0])
        self.log_length = self.add_weight(name="log_length", shape=(orders, width), initializer="zeros")
        self.angle = self.add_weight(name="angle", shape=(orders, width), initializer="zeros")
        self.implicit = keras.layers.Dense(orders * width, kernel_initializer=initializers[1], name="implicit")

    def call(self, real: tf.Tensor, imaginary: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Both parts (B, F, D) -> both parts (B, K, D)."""
        log_length = 0.5 * tf.math.log(tf.square(real) + tf.square(imaginary) + _SMALLEST)  # (B, F, D)
        angle = tf.atan2(imaginary, real)  # (B, F, D)
        length = tf.exp(tf.einsum("bfd,fk->bkd", log_length, self.exponents) + self.log_length)  # (B, K, D)
        turned = tf.einsum("bfd,fk->bkd", angle, self.exponents) + self.angle  # (B, K, D)
        implicit_real, implicit_imaginary = (self._of_all(part) for part in (real, imaginary))
        return implicit_real + length * tf.cos(turned), implicit_imaginary + length * tf.sin(turned)

    def _of_all(self, part: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(part, (-1, self._fields * self._width))
        return tf.reshape(tf.nn.relu(self.implicit(flat)), (-1, self._orders, self._width))


class EulerNet(CtrModel):
    """Logit = linear(x) + w^T Re z_L + v^T Im z_L, z_0 = exp(m_j + i e_j).

    `cross_layers` Euler layers, each with `interaction_width` vectors of orders.

    Source: Tian et al. 2023, "EulerNet", SIGIR, arXiv:2304.10711, Eq. 5-14.
    Differs from the source: lengths are exp(m_j), which stay positive: a change of sign would make angles jump; w and v
    are two vectors, one in the authors' code; no layer normalization and no dropout; numeric fields enter the linear
    part alone; a linear part beside, which the fused table's last column is for.
    """

    def _make_parts(self) -> None:
        D, orders = self.config.embedding_dim, self.config.interaction_width or ORDER_VECTORS
        self.log_lengths = self.add_weight(name="log_lengths", shape=(self.id_fields, 1), initializer="zeros")
        fields = self.id_fields
        self.layers_of_euler: list[EulerLayer] = []
        for index in range(self.config.cross_layers or CROSS_LAYERS):
            starts = [self._glorot(), self._glorot()]
            self.layers_of_euler.append(EulerLayer(fields, orders, D, starts, f"euler_{index}"))
            fields = orders
        self.of_real, self.of_imaginary = (
            keras.layers.Dense(1, use_bias=False, kernel_initializer=self._glorot(), name=name)
            for name in ("of_real", "of_imaginary")
        )

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). All computes in float32, whatever the input's type."""
        embeddings = self._embeddings(joined)  # (B, F, D)
        lengths = tf.exp(self.log_lengths)
        real, imaginary = lengths * tf.cos(embeddings), lengths * tf.sin(embeddings)
        for layer in self.layers_of_euler:
            real, imaginary = layer(real, imaginary)  # (B, K, D)
        width = real.shape[1] * real.shape[2]
        logit = self.of_real(tf.reshape(real, (-1, width))) + self.of_imaginary(tf.reshape(imaginary, (-1, width)))
        return tf.squeeze(logit, axis=1)  # (B,)
