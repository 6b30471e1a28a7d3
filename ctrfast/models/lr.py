"""LR: logistic regression, the linear part alone."""

from __future__ import annotations

from ctrfast.models.base import CtrModel


class LR(CtrModel):
    """Logit = sum of the ids' linear weights + w^T x + b.

    Source: Richardson et al. 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads", WWW.
    Differs from the source: none. Embeddings are not read; `embedding_dim: 1` keeps their table small.
    """
