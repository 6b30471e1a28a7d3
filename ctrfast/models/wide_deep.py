"""Wide & Deep: a linear model beside an MLP."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel


class WideDeep(CtrModel):
    """Logit = linear(x) + MLP([e, x]).

    Source: Cheng et al. 2016, arXiv:1606.07792, Eq. 3.
    Differs from the source: no hand-made crosses in the wide part, and one optimizer family for both parts, as in
    arXiv:2204.06240.
    """

    def _make_parts(self) -> None:
        self.mlp = self._make_mlp()

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,)."""
        return self.mlp(joined)  # (B,)
