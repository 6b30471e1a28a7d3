"""DeepFM: a factorization machine and an MLP on the same embeddings."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.layers import Mlp, factorization_pairs, join, split_rows


class DeepFM(CtrModel):
    """Logit = linear(x) + sum over pairs <e_i, e_j> + MLP([e, x]).

    Source: Guo et al. 2017, arXiv:1703.04247, Eq. 1-4.
    Differs from the source: numeric fields enter the linear part and the MLP as values and have no embedding, as in
    the networks of arXiv:2204.06240.
    """

    def _make_parts(self) -> None:
        self.mlp = Mlp(self.config.hidden, [self.next_seed() for _ in range(len(self.config.hidden) + 1)])

    def logits(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Rows (B, F, D+1), numbers (B, N) -> (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        first = self.linear(linear_weights, numbers)  # (B,)
        deep = self.mlp(join(embeddings, numbers))  # (B,)
        return first + factorization_pairs(embeddings) + deep  # (B,)
