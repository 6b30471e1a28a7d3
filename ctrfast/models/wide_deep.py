"""Wide & Deep: a linear model beside an MLP."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.layers import Mlp, join, split_rows


class WideDeep(CtrModel):
    """Logit = linear(x) + MLP([e, x]).

    Source: Cheng et al. 2016, arXiv:1606.07792, Eq. 3.
    Differs from the source: no hand-made crosses in the wide part, and one optimizer family for both parts, as in
    arXiv:2204.06240.
    """

    def _make_parts(self) -> None:
        self.mlp = Mlp(self.config.hidden, [self.next_seed() for _ in range(len(self.config.hidden) + 1)])

    def logits(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Rows (B, F, D+1), numbers (B, N) -> (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        return self.linear(linear_weights, numbers) + self.mlp(join(embeddings, numbers))  # (B,)
