"""Pool the rows of a list's values into one row, embedding and linear weight alike.

For a field with slots s = 1 .. L of which the first n hold values, and looked-up rows r_s, (D+1,):
    sum    r = sum over s <= n of r_s              mean    r = the same / n
A slot without a value holds its table's padding row. A mask leaves it out, so its gradient is 0 and the counts of all
other rows stay those of real values; a list of padding alone gives 0.

Source: Covington, Adams and Sargin 2016, "Deep Neural Networks for YouTube Recommendations", RecSys, section 3.2
(the average of a variable number of embeddings).

    pooling = Pooling.of(fitted)            # None where no field has lists
    pooling(rows, ids)                      # (B, S, D+1), (B, S) -> (B, F, D+1)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import tensorflow as tf

from ctrfast.fitted_schema import FittedSchema


@dataclass(frozen=True)
class Pooled:
    """A field of lists. slots: its columns. padding: row of the fused table. is_mean: else the sum."""

    slots: slice
    padding: int
    is_mean: bool


class Pooling:
    """Pools looked-up rows by field.

    Args:
        fields: in order: a field of lists, or None for a field of one slot.
    """

    def __init__(self, fields: Sequence[Pooled | None]) -> None:
        self._runs = list(_runs(fields))
        self.slots = self._runs[-1][0].stop

    @classmethod
    def of(cls, fitted: FittedSchema) -> Self | None:
        """The pooling of a schema, where it has a field of lists."""
        schema, offsets = fitted.schema_, fitted.slot_offsets
        if all(field.separator is None for field in schema.id_fields):
            return None
        fields = zip(schema.id_fields, schema.field_slots, fitted.id_rows, strict=True)
        return cls(
            [
                None
                if field.separator is None
                else Pooled(slots, offsets[slots.start] + rows.padding, field.pooling == "mean")
                for field, slots, rows in fields
            ]
        )

    def __call__(self, rows: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Looked-up rows (B, S, D+1) of ids (B, S), rows of the fused table -> (B, F, D+1)."""
        parts = []
        for slots, field in self._runs:
            part = rows[:, slots.start : slots.stop]  # (B, L, D+1)
            if field is not None:
                is_value = tf.cast(tf.not_equal(ids[:, slots.start : slots.stop], field.padding), rows.dtype)  # (B, L)
                part = tf.reduce_sum(part * is_value[:, :, tf.newaxis], axis=1, keepdims=True)  # (B, 1, D+1)
                if field.is_mean:
                    n = tf.reduce_sum(is_value, axis=1)[:, tf.newaxis, tf.newaxis]  # (B, 1, 1)
                    part /= tf.maximum(n, 1.0)
            parts.append(part)
        return tf.concat(parts, axis=1)


def _runs(fields: Sequence[Pooled | None]) -> Iterator[tuple[slice, Pooled | None]]:
    """Fields of lists, and neighbouring fields of one slot as one slice."""
    start = 0
    for is_single, run in groupby(fields, key=lambda field: field is None):
        found = list(run)
        if is_single:
            yield slice(start, start + len(found)), None
            start += len(found)
            continue
        for field in found:
            if field is not None:
                start = field.slots.stop
                yield field.slots, field
