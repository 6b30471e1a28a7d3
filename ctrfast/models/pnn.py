"""PNN: an MLP on embeddings and products of pairs."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.field_pairs import inner_products
from ctrfast.models.layers import join, split_rows


class PNN(CtrModel):
    """Logit = linear(x) + MLP([e, x, p]).

    variant inner: p = <e_i, e_j> of all pairs. outer: p = s s^T with s the sum of all e_i.

    Source: Qu et al. 2016, "Product-based Neural Networks", ICDM, arXiv:1611.00144, sections III-A to III-C.
    Differs from the source: a linear part beside, which the fused table's last column is for; products enter the MLP as
    they are, without the source's low-rank kernels; numeric fields enter as values.
    """

    def _make_parts(self) -> None:
        F, D = self.id_fields, self.config.embedding_dim
        self.is_inner = self.config.variant != "outer"
        self.mlp = self._make_mlp(self.width + (F * (F - 1) // 2 if self.is_inner else D * D))

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> what the MLP gets (B, H0), linear part (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        if self.is_inner:
            products = inner_products(embeddings)  # (B, P)
        else:
            total = tf.reduce_sum(embeddings, axis=1)  # (B, D)
            D = self.config.embedding_dim
            products = tf.reshape(total[:, :, tf.newaxis] * total[:, tf.newaxis, :], (-1, D * D))  # (B, D*D)
        joined = tf.concat((join(embeddings, numbers), products), axis=1)
        return joined, self.linear(linear_weights, numbers)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """What `arrange` joined -> (B,)."""
        return self.mlp(joined)  # (B,)
