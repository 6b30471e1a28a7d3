"""NFM: an MLP on the sum of all pairs' products."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.layers import split_rows, sum_of_pairs


class NFM(CtrModel):
    """Logit = linear(x) + MLP([sum over pairs e_i * e_j, x]).

    Source: He & Chua 2017, "Neural Factorization Machines", SIGIR, arXiv:1708.05027, Eq. 2-5.
    Differs from the source: numeric fields enter the linear part and the MLP as values; no dropout and no batch norm of
    the pairs' sum.
    """

    def _make_parts(self) -> None:
        self.mlp = self._make_mlp(self.config.embedding_dim + self.numeric_fields)

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> sum of the pairs' products and numbers (B, D + N), linear part (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        return tf.concat((sum_of_pairs(embeddings), numbers), axis=1), self.linear(linear_weights, numbers)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """What `arrange` joined (B, D + N) -> (B,)."""
        return self.mlp(joined)  # (B,)
