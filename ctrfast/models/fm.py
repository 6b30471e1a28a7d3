"""FM: a factorization machine."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel
from ctrfast.models.layers import factorization_pairs, split_rows


class FM(CtrModel):
    """Logit = linear(x) + sum over pairs <e_i, e_j>.

    Source: Rendle 2010, "Factorization Machines", ICDM, Eq. 1 and Lemma 3.1.
    Differs from the source: numeric fields have no vectors, and enter the linear part alone.
    """

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> joined input (B, F*D + N), linear part plus pairs (B,)."""
        joined, first = super().arrange(rows, numbers)
        return joined, first + factorization_pairs(split_rows(rows)[0])
