"""FinalMLP: two MLPs that see the input through gates of their own, and a bilinear product of what they say."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import HEADS
from ctrfast.models.base import CtrModel
from ctrfast.models.towers import make_tower


class BilinearFusion(keras.layers.Layer):  # type: ignore[misc]
    """b + w_1^T o_1 + w_2^T o_2 + sum over heads o_1h^T W_h o_2h: (B, H), (B, H) -> (B,).

    Source: Mao et al. 2023, arXiv:2304.00902, Eq. 9 and 10.
    """

    def __init__(self, width: int, heads: int, initializers: list[keras.initializers.Initializer]) -> None:
        super().__init__(name="fusion")
        self._heads, self._head = heads, width // heads
        self.first = self.add_weight(name="first", shape=(width, 1), initializer=initializers[0])
        self.second = self.add_weight(name="second", shape=(width, 1), initializer=initializers[1])
        self.kernel = self.add_weight(name="kernel", shape=(heads, self._head, self._head), initializer=initializers[2])
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """o_1 and o_2 (B, H) -> (B,)."""
        own = tf.matmul(first, self.first) + tf.matmul(second, self.second)  # (B, 1)
        by_head = [tf.reshape(part, (-1, self._heads, self._head)) for part in (first, second)]  # (B, h, H/h)
        products = tf.einsum("bhi,hij,bhj->b", by_head[0], self.kernel, by_head[1])
        return self.bias + tf.squeeze(own, axis=1) + products


class FinalMLP(CtrModel):
    """Logit = linear(x) + fusion(MLP_1(2 sigmoid(g_1) * [e, x]), MLP_2(2 sigmoid(g_2) * [e, x])).

    Both MLPs have the widths `hidden`, and no layer behind the last hidden one, which is cut into `heads`.

    Source: Mao et al. 2023, "FinalMLP", AAAI, arXiv:2304.00902, Eq. 5-10.
    Differs from the source: gates are learned vectors, which is what the source's gate networks come to where no field
    is chosen as their input; a linear part beside, which the fused table's last column is for.
    """

    def _make_parts(self) -> None:
        hidden = self.config.hidden
        self.gates = [self.add_weight(name=f"gate_{n}", shape=(self.width,), initializer="zeros") for n in (1, 2)]
        self.streams = [
            make_tower(self.config.tower, self.width, hidden, self.next_seed, outputs=0, name=f"stream_{n}")
            for n in (1, 2)
        ]
        self.fusion = BilinearFusion(hidden[-1], self.config.heads or HEADS, [self._glorot() for _ in range(3)])

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,)."""
        outputs = [
            tf.cast(stream(joined * tf.cast(2 * tf.sigmoid(gate), joined.dtype)), tf.float32)  # (B, H)
            for gate, stream in zip(self.gates, self.streams, strict=True)
        ]
        return self.fusion(*outputs)  # (B,)
