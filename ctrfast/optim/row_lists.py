"""Sums by row as lists of the rows that occur, which replicas can gather: a matrix each, a line per row.

    rows, sums = summed_by_row(ids, gradients, 64)  # of ids [7, 2, 7]: rows [7, 2], sums of lines 0 and 2, and 1
    packed(rows, sums[:2])                          # (U, W+1): a row's number beside its W sums

A number's 32 bits lie in the place of a float. They are moved, never calculated with: as a float, 7 is not 0 but would
be flushed to it. Sums are compiled, which is faster than the operation, anew for each shape: sizes that differ from
step to step are rounded up to whole pieces.
"""

from __future__ import annotations

import tensorflow as tf

from ctrfast.traced import traced


def summed_by_row(rows: tf.Tensor, values: tf.Tensor, piece: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows (L,) int32, values (L, W) -> the U different rows, (U,), and the sums of their values, (R, W).

    Rows come in the order in which each occurs first. R is U rounded up to a multiple of `piece`; the rest is 0.
    """
    present, places = tf.unique(rows)  # (U,), (L,)
    slots = tf.zeros(in_pieces(tf.size(present), piece), tf.bool)  # (R,)
    if rows.shape[0] is None:  # lists of other replicas, which differ in length
        places, values = padded(places, piece), padded(values, piece)
    return present, _sum_in(slots, values, places)


def in_pieces(size: tf.Tensor, piece: int) -> tf.Tensor:
    """A size rounded up to a multiple of `piece`."""
    return -(-size // piece) * piece


def padded(lines: tf.Tensor, piece: int) -> tf.Tensor:
    """Lines (L, ...) with as many of 0 behind them as `in_pieces` says: with sums of 0, row 0 stays as it is."""
    size = tf.shape(lines)[0]
    return tf.pad(lines, [[0, in_pieces(size, piece) - size], *[[0, 0]] * (lines.shape.rank - 1)])


def packed(rows: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    """Rows (U,) int32, sums (U, W) float32 -> (U, W+1) float32."""
    return tf.concat((tf.bitcast(rows, tf.float32)[:, tf.newaxis], sums), axis=1)


def unpacked(lists: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The way back: (L, W+1) -> (L,) int32, (L, W) float32."""
    return tf.bitcast(lists[:, 0], tf.int32), lists[:, 1:]


def _sum(slots: tf.Tensor, values: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    return tf.math.unsorted_segment_sum(values, places, tf.shape(slots)[0])


_sum_in = traced(_sum, jit_compile=True)
