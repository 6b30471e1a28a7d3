"""The field of each row of the fused table: sums over a field's rows, and a field's value on each of its rows.

    fields = FieldSlices([0, 2, 5])                  two fields, of 2 and 3 rows
    fields.total([1, 1, 1, 1, 1])                    [2, 3]
    fields.spread([10, 20])                          [10, 10, 20, 20, 20]

`FieldSlices` stands for all rows in their order, and `PresentRows` too, but sums up those in the batch alone.
`FieldsOfRows` stands for a list of rows in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import tensorflow as tf


class Fields(Protocol):
    """Sums by field and the way back. F fields, R rows."""

    def total(self, values: tf.Tensor) -> tf.Tensor:
        """Sum of each field's rows, (R,) -> (F,)."""

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """Each row's value of its field, (F,) -> (R,)."""


class FieldSlices:
    """All rows of the table, field after field.

    Args:
        bounds: first row of each field, then V; (F+1,).
    """

    def __init__(self, bounds: Sequence[int]) -> None:
        self._bounds = bounds

    def total(self, values: tf.Tensor) -> tf.Tensor:
        """(V,) -> (F,). By static slices: segments would be a scatter, in which all rows of a field collide."""
        return tf.stack([tf.reduce_sum(values[start:end]) for start, end in pairwise(self._bounds)])

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """(F,) -> (V,). By lookup: as fast as one piece per field, and compiled in a fifth of the time."""
        return tf.gather(values, _field_of(self._bounds, tf.range(self._bounds[-1])))


class PresentRows(FieldSlices):
    """All rows of the table, field after field, of which those in the batch count.

    Args:
        bounds: first row of each field, then V; (F+1,).
        counts: occurrences of each row in the batch, (V,) float32. A row without any adds to no sum.
    """

    def __init__(self, bounds: Sequence[int], counts: tf.Tensor) -> None:
        super().__init__(bounds)
        self._is_there = counts > 0  # (V,)

    def total(self, values: tf.Tensor) -> tf.Tensor:
        """(V,) -> (F,)."""
        return super().total(tf.where(self._is_there, values, 0.0))


class FieldsOfRows:
    """A list of rows.

    Args:
        bounds: first row of each field, then V; (F+1,).
        rows: rows of the table, (R,) int32.
        counts: occurrences of each, (R,) float32. A row without any fills the list up; it adds to no sum.
    """

    def __init__(self, bounds: Sequence[int], rows: tf.Tensor, counts: tf.Tensor) -> None:
        self._fields = len(bounds) - 1
        self._field = _field_of(bounds, rows)  # (R,)
        self._is_there = counts > 0  # (R,)

    def total(self, values: tf.Tensor) -> tf.Tensor:
        """(R,) -> (F,)."""
        return tf.math.unsorted_segment_sum(tf.where(self._is_there, values, 0.0), self._field, self._fields)

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """(F,) -> (R,)."""
        return tf.gather(values, self._field)


def _field_of(bounds: Sequence[int], rows: tf.Tensor) -> tf.Tensor:
    """Rows of the table (R,) int32 -> their fields (R,) int32."""
    return tf.searchsorted(tf.constant(bounds[1:-1], tf.int32), rows, side="right")
