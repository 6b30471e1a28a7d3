"""Clip each id's embedding gradient by how often the id occurred (CowClip).

For id k seen n_k times in the global batch, with row w_k and gradient g_k, both (D,):
    limit_k = max(n_k, 1) * ratio * max(||w_k||, ratio * sqrt(D) * bound)        g_k <- g_k * min(1, limit_k / ||g_k||)
A frequent id may keep a larger gradient; a row near zero can still leave zero (bound).

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1; the authors' clip.py.
Differs from the paper: it prints n_k * max(ratio * ||w_k||, zeta); sqrt(D) and the second ratio are the code's, so
zeta = ratio^2 * sqrt(D) * bound, and absent rows count as n_k = 1.
Differs from that code: one fused table instead of one per field; counts are global, not per replica.

>>> clipped, was_clipped = cowclip([[3.0, 4.0]], [[0.6, 0.8]], [2.0], ratio=1.0, bound=1e-5)
>>> clipped.numpy()
array([[1.2, 1.6]], dtype=float32)
"""

from __future__ import annotations

import math

import tensorflow as tf


def cowclip(
    gradients: tf.Tensor, rows: tf.Tensor, counts: tf.Tensor, *, ratio: float, bound: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clip row gradients.

    Args:
        gradients: (V, D) float32, of the mean loss plus L2.
        rows: (V, D) float32, the table before the update.
        counts: (V,) float32, occurrences of each id in the global batch.
        ratio: c > 0.
        bound: beta > 0.

    Returns:
        The clipped gradients (V, D), and which rows were clipped (V,) bool.
    """
    gradients, rows = tf.convert_to_tensor(gradients), tf.convert_to_tensor(rows)
    width = rows.shape[1]
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=1))  # (V,)
    row_norm = tf.sqrt(tf.reduce_sum(tf.square(rows), axis=1))  # (V,)
    floor = ratio * math.sqrt(width) * bound
    limit = tf.maximum(counts, 1.0) * ratio * tf.maximum(row_norm, floor)  # (V,)
    was_clipped = norm > limit  # (V,)
    factor = tf.where(was_clipped, limit / tf.where(was_clipped, norm, 1.0), 1.0)  # (V,)
    return gradients * factor[:, tf.newaxis], was_clipped  # (V, D), (V,)
