"""FiBiNET: weighted fields, bilinear products of pairs, and an MLP on them."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.base import CtrModel
from ctrfast.models.field_pairs import pair_places

_REDUCTION = 3  # of the source


class SqueezeExcitation(keras.layers.Layer):  # type: ignore[misc]
    """a * e with a = relu(W_2 relu(W_1 mean over D of e)): (B, F, D) -> (B, F, D).

    Source: Huang et al. 2019, arXiv:1905.09433, Eq. 2-4.
    """

    def __init__(self, fields: int, initializers: list[keras.initializers.Initializer]) -> None:
        super().__init__(name="squeeze_excitation")
        width = max(1, fields // _REDUCTION)
        self.inward = self.add_weight(name="inward", shape=(fields, width), initializer=initializers[0])
        self.outward = self.add_weight(name="outward", shape=(width, fields), initializer=initializers[1])

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Embeddings (B, F, D) -> weighted (B, F, D)."""
        squeezed = tf.reduce_mean(embeddings, axis=2)  # (B, F)
        weights = tf.nn.relu(tf.matmul(tf.nn.relu(tf.matmul(squeezed, self.inward)), self.outward))  # (B, F)
        return embeddings * weights[:, :, tf.newaxis]


class BilinearPairs(keras.layers.Layer):  # type: ignore[misc]
    """(e_i W) * e_j of each pair: (B, F, D) -> (B, P*D).

    variant all: one W. each: one for each field i. interaction: one for each pair.

    Source: Huang et al. 2019, arXiv:1905.09433, Eq. 5-7.
    """

    def __init__(
        self, fields: int, width: int, variant: str, initializer: keras.initializers.Initializer, name: str
    ) -> None:
        super().__init__(name=name)
        self._first, self._second = pair_places(fields)
        self._variant = variant
        matrices = {"all": 1, "each": fields, "interaction": len(self._first)}[variant]
        self.kernel = self.add_weight(name="kernel", shape=(matrices, width, width), initializer=initializer)

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Embeddings (B, F, D) -> (B, P*D)."""
        if self._variant == "interaction":
            return self._by_first_field(embeddings)
        width = embeddings.shape[2]
        first, second = (tf.gather(embeddings, places, axis=1) for places in (self._first, self._second))  # (B, P, D)
        if self._variant == "all":
            turned = tf.tensordot(first, self.kernel[0], 1)  # (B, P, D)
        else:
            turned = tf.gather(tf.einsum("bfd,fde->bfe", embeddings, self.kernel), self._first, axis=1)
        return tf.reshape(turned * second, (-1, len(self._first) * width))

    def _by_first_field(self, embeddings: tf.Tensor) -> tf.Tensor:
        """All pairs of one first field by one product: a product for each pair takes twice the time."""
        fields = tf.unstack(embeddings, axis=1)  # F of (B, D)
        kernels = tf.split(self.kernel, range(len(fields) - 1, 0, -1))  # of pairs (i, i+1), (i, i+2), ...: (n, D, D)
        pairs = []
        for place, kernel in enumerate(kernels):
            side_by_side = tf.reshape(tf.transpose(kernel, (1, 0, 2)), (kernel.shape[1], -1))  # (D, n*D)
            pairs.append(tf.matmul(fields[place], side_by_side) * tf.concat(fields[place + 1 :], axis=1))  # (B, n*D)
        return tf.concat(pairs, axis=1)  # (B, P*D)


class FiBiNET(CtrModel):
    """Logit = linear(x) + MLP([bilinear pairs of e, bilinear pairs of SENET(e), x]).

    Source: Huang et al. 2019, "FiBiNET", RecSys, arXiv:1905.09433, Eq. 2-10.
    Differs from the source: numeric fields have no vectors, and enter the linear part and the MLP as values.
    """

    def _make_parts(self) -> None:
        F, D, variant = self.id_fields, self.config.embedding_dim, self.config.variant or "interaction"
        self.weighted = SqueezeExcitation(F, [self._glorot(), self._glorot()])
        self.pairs = BilinearPairs(F, D, variant, self._glorot(), "pairs")
        self.pairs_of_weighted = BilinearPairs(F, D, variant, self._glorot(), "pairs_of_weighted")
        self.mlp = self._make_mlp(F * (F - 1) * D + self.numeric_fields)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). Pairs are float32, whatever the input's type."""
        embeddings = self._embeddings(joined)  # (B, F, D)
        pairs = tf.concat((self.pairs(embeddings), self.pairs_of_weighted(self.weighted(embeddings))), axis=1)
        numbers = joined[:, self.id_fields * self.config.embedding_dim :]  # (B, N)
        return self.mlp(tf.concat((tf.cast(pairs, joined.dtype), numbers), axis=1))  # (B,)
