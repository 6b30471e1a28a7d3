"""DLRM: inner products of embeddings and of what a small MLP makes of the numbers, under a larger MLP."""

from __future__ import annotations

import tensorflow as tf
from tensorflow_recommenders.layers.feature_interaction import DotInteraction

from ctrfast.model_config import BOTTOM_WIDTH
from ctrfast.models.base import CtrModel
from ctrfast.models.mlp import Mlp


class DLRM(CtrModel):
    """Logit = linear(x) + MLP([z, <v_i, v_j> of all pairs]), with v = (z, e_1, ..., e_F) and z = bottom(x) in R^D.

    bottom(x) = relu(W_2 relu(W_1 x)), `interaction_width` wide; TensorFlow Recommenders' `DotInteraction`.

    Source: Naumov et al. 2019, arXiv:1906.00091, section 2.
    Differs from the source: a linear part beside, which the fused table's last column is for; without numeric fields
    there is no z.
    """

    def _make_parts(self) -> None:
        D, N = self.config.embedding_dim, self.numeric_fields
        vectors = self.id_fields + (N > 0)
        self.bottom = None
        if N:
            width = self.config.interaction_width or BOTTOM_WIDTH
            self.bottom = Mlp(N, (width,), self.next_seed, outputs=D)
        self.products = DotInteraction()
        self.mlp = self._make_mlp((D if N else 0) + vectors * (vectors - 1) // 2)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,). Products of pairs are float32, whatever the input's type."""
        vectors = tf.unstack(self._embeddings(joined), axis=1)  # F of (B, D)
        parts = []
        if self.bottom is not None:
            of_numbers = tf.nn.relu(self.bottom(joined[:, self.id_fields * self.config.embedding_dim :]))  # (B, D)
            vectors, parts = [of_numbers, *vectors], [of_numbers]
        top = tf.concat([*parts, self.products(vectors)], axis=1)  # (B, D + pairs)
        return self.mlp(tf.cast(top, joined.dtype))  # (B,)
