"""Sums by row as lists of the rows that occur, which replicas can gather: a matrix each, a line per row.

    rows, sums = summed_by_row(ids, gradients)      # of ids [7, 2, 7]: rows [7, 2], sums of lines 0 and 2, and 1
    packed(rows, sums)                              # (U, W+1): a row's number beside its W sums

A number's 32 bits lie in the place of a float. They are moved, never calculated with: as a float, 7 is not 0 but would
be flushed to it.
"""

from __future__ import annotations

import tensorflow as tf


def summed_by_row(rows: tf.Tensor, values: tf.Tensor, piece: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows (L,) int32, values (L, W) -> the U different rows, (U,), and the sums of their values, (R, W).

    Rows come in the order in which each occurs first. R is U rounded up to a multiple of `piece`; the rest is 0.
    """
    present, place = tf.unique(rows)  # (U,), (L,)
    most = -(-tf.size(present) // piece) * piece  # R
    return present, tf.math.unsorted_segment_sum(values, place, most)


def packed(rows: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    """Rows (U,) int32, sums (U, W) float32 -> (U, W+1) float32."""
    return tf.concat((tf.bitcast(rows, tf.float32)[:, tf.newaxis], sums), axis=1)


def unpacked(lists: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The way back: (L, W+1) -> (L,) int32, (L, W) float32."""
    return tf.bitcast(lists[:, 0], tf.int32), lists[:, 1:]
