"""DeepFwFM: field-weighted pairs and an MLP on the same embeddings."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.fwfm import FwFM


class DeepFwFM(FwFM):
    """Logit = linear(x) + sum over pairs r_ij <e_i, e_j> + MLP([e, x]).

    Source: Deng et al. 2021, "DeepLight", WSDM, arXiv:2002.06987, Eq. 5.
    Differs from the source: numeric fields enter the linear part and the MLP as values. Pruning is an export, of whole
    hidden units of the MLP (`ctrfast export --prune`) and of the pairs of the smallest |r_ij| (`--prune-pairs`), all at
    once. Not pruned: single weights of the MLP, and embeddings. The source prunes a share that grows as training goes
    on; here no training follows.
    """

    def _make_parts(self) -> None:
        super()._make_parts()
        self.mlp = self._make_mlp()

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) -> (B,)."""
        return self.mlp(joined)  # (B,)
