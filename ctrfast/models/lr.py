"""LR: logistic regression, the linear part alone."""

from __future__ import annotations

import tensorflow as tf

from ctrfast.models.base import CtrModel


class LR(CtrModel):
    """Logit = sum of the ids' linear weights + w^T x + b.

    Source: Richardson et al. 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads", WWW.
    Differs from the source: none. Embeddings are not read; `embedding_dim: 1` keeps their table small.
    """

    def _make_parts(self) -> None:
        pass

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """Nothing: (B,) zeros."""
        return tf.zeros_like(joined[:, 0], tf.float32)
