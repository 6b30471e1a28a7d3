"""FwFM: a factorization machine with one weight for each pair of fields."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.field_pairs import WeightedPairs
from ctrfast.models.layers import split_rows


class FwFM(CtrModel):
    """Logit = linear(x) + sum over pairs r_ij <e_i, e_j>.

    Source: Pan et al. 2018, arXiv:1806.03514, Eq. 4, with linear weights (FwFM_LW).
    Differs from the source: numeric fields have no vectors, and enter the linear part alone.
    """

    def _make_parts(self) -> None:
        self.pairs = WeightedPairs(self.id_fields)

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> joined input (B, F*D + N), linear part plus pairs (B,)."""
        joined, first = super().arrange(rows, numbers)
        return joined, first + self.pairs(split_rows(rows)[0])
