"""Sums of squares of the rows of a tall, narrow table, and the rows' Euclidean norms.

>>> row_norms(tf.constant([[3.0, 4.0]])).numpy()
array([5.], dtype=float32)
"""

from __future__ import annotations

import tensorflow as tf

_UNROLLED_WIDTH = 64


def row_squares(rows: tf.Tensor) -> tf.Tensor:
    """Sum of squares of each row, (R, D) -> (R,).

    Column by column: XLA does not vectorise a reduction over a short last axis on CPU, and takes as long for it as for
    the rest of the update.
    """
    width = rows.shape[1]
    if width > _UNROLLED_WIDTH:
        return tf.reduce_sum(tf.square(rows), axis=1)
    return tf.add_n([tf.square(rows[:, column]) for column in range(width)])


def row_norms(rows: tf.Tensor) -> tf.Tensor:
    """Euclidean norm of each row, (R, D) -> (R,)."""
    return tf.sqrt(row_squares(rows))
