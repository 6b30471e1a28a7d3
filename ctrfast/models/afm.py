"""AFM: pairs' products, weighted by attention."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.model_config import ATTENTION_WIDTH
from ctrfast.models.base import CtrModel
from ctrfast.models.field_pairs import pair_products
from ctrfast.models.layers import split_rows


class AFM(CtrModel):
    """Logit = linear(x) + p^T sum over pairs a_ij (e_i * e_j), with a = softmax(h^T relu(W (e_i * e_j) + b)).

    Source: Xiao et al. 2017, "Attentional Factorization Machines", IJCAI, arXiv:1708.04617, Eq. 4-6.
    Differs from the source: numeric fields have no vectors, and enter the linear part alone; no dropout.
    """

    def _make_parts(self) -> None:
        D, width = self.config.embedding_dim, self.config.interaction_width or ATTENTION_WIDTH
        self.attention = keras.layers.Dense(width, "relu", kernel_initializer=self._glorot(), name="attention")
        self.of_attention = keras.layers.Dense(
            1, use_bias=False, kernel_initializer=self._glorot(), name="of_attention"
        )
        self.of_pairs = self.add_weight(name="of_pairs", shape=(D, 1), initializer=self._glorot())

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> pairs' products (B, P*D), linear part (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        pairs = pair_products(embeddings)  # (B, P, D)
        return tf.reshape(pairs, (-1, pairs.shape[1] * pairs.shape[2])), self.linear(linear_weights, numbers)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Pairs' products (B, P*D) -> (B,). Attention computes in float32, whatever the input's type.

        p^T sum a_ij (e_i * e_j) = sum a_ij p^T (e_i * e_j): so no weighted sum of vectors is formed.
        """
        D = self.config.embedding_dim
        pairs = tf.reshape(tf.cast(joined, tf.float32), (-1, D))  # (B*P, D)
        shape = (-1, joined.shape[1] // D)
        scores = tf.reshape(self.of_attention(self.attention(pairs)), shape)  # (B, P)
        values = tf.reshape(tf.matmul(pairs, self.of_pairs), shape)  # (B, P)
        return tf.reduce_sum(tf.nn.softmax(scores, axis=1) * values, axis=1)  # (B,)
