"""Clip each id's embedding gradient by how often the id occurred (CowClip).

For id k seen n_k times in the global batch, with row w_k and gradient g_k, both (D,):
    limit_k = max(n_k, 1) * ratio * max(||w_k||, ratio * sqrt(D) * bound)        g_k <- g_k * min(1, limit_k / ||g_k||)
A frequent id may keep a larger gradient; a row near zero can still leave zero (bound).

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1; the authors' clip.py.
Differs from the paper: it prints n_k * max(ratio * ||w_k||, zeta); sqrt(D) and the second ratio are the code's, so
zeta = ratio^2 * sqrt(D) * bound, and absent rows count as n_k = 1.
Differs from that code: one fused table instead of one per field; counts are global, not per replica.

>>> factors, was_clipped = clip_factors([[3.0, 4.0]], [[0.6, 0.8]], [2.0], ratio=1.0, bound=1e-5)
>>> factors.numpy()            # limit 2 * 1 * 1 over norm 5
array([0.4], dtype=float32)
"""

from __future__ import annotations

import math

import tensorflow as tf

from ctrfast.optim.norms import row_norms


def clip_factors(
    gradients: tf.Tensor, rows: tf.Tensor, counts: tf.Tensor, *, ratio: float, bound: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """What to multiply each row's gradient by.

    Args:
        gradients: (V, D) float32, of the mean loss plus L2.
        rows: (V, D) float32, the table before the update.
        counts: (V,) float32, occurrences of each id in the global batch.
        ratio: c > 0.
        bound: beta > 0.

    Returns:
        Factors (V,) float32 in (0, 1], and which rows are clipped (V,) bool.
    """
    gradients, rows = tf.convert_to_tensor(gradients), tf.convert_to_tensor(rows)
    floor = smallest_norm(rows.shape[1], ratio=ratio, bound=bound)
    limit = tf.maximum(counts, 1.0) * ratio * tf.maximum(row_norms(rows), floor)  # (V,)
    return factors_within(limit, row_norms(gradients))  # (V,), (V,)


def smallest_norm(width: int, *, ratio: float, bound: float) -> float:
    """What a row of width D counts at least as, so that it can leave zero: ratio * sqrt(D) * bound."""
    return ratio * math.sqrt(width) * bound


def factors_within(limit: tf.Tensor, norm: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Factors min(1, limit / norm), and where these are below 1. Shapes broadcast; a norm may be 0."""
    was_clipped = norm > limit
    return tf.where(was_clipped, limit / tf.where(was_clipped, norm, 1.0), 1.0), was_clipped
