"""DeepFM: a factorization machine and an MLP on the same embeddings."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.layers import factorization_pairs, split_rows


class DeepFM(CtrModel):
    """Logit = linear(x) + sum over pairs <e_i, e_j> + MLP([e, x]).

    Source: Guo et al. 2017, arXiv:1703.04247, Eq. 1-4.
    Differs from the source: numeric fields enter the linear part and the MLP as values and have no embedding, as in
    the networks of arXiv:2204.06240.
    """

    def _make_parts(self) -> None:
        self.mlp = self._make_mlp()

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> joined input (B, F*D + N), linear part plus pairs (B,)."""
        joined, first = super().arrange(rows, numbers)
        return joined, first + factorization_pairs(split_rows(rows)[0])

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,)."""
        return self.mlp(joined)  # (B,)
