"""DCN-v2: crosses with one weight matrix per layer, full or of low rank."""

from __future__ import annotations

import tf_keras as keras
from tensorflow_recommenders.layers.feature_interaction.dcn import Cross

from ctrfast.models.deep_cross import DeepCross


class DCNv2(DeepCross):
    """x_{l+1} = x_0 * (W x_l + b) + x_l, with W full, or U V^T where `low_rank` is set; TensorFlow Recommenders' layer.

    Source: Wang et al. 2021, arXiv:2008.13535, Eq. 1 and 2, the parallel structure.
    Differs from the source: see `DeepCross`.
    """

    def _make_cross(self, index: int) -> keras.layers.Layer:
        return Cross(self.config.low_rank, kernel_initializer=self._glorot(), name=f"cross_{index}")
