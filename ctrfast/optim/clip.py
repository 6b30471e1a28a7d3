"""The clips of embedding gradients that the paper compares, by name. g: gradients, w: rows, both (R, D); f: a field.

    none             g_k
    global           g   * min(1, norm / ||g||)                 over all fields' rows
    field            g_f * min(1, norm / ||g_f||)               over each field's rows
    column           g_k * min(1, max(n_k, 1) norm / ||g_k||)   each id's row
    adaptive_field   g_f * min(1, ratio max(||w_f||, ratio sqrt(D) bound) / ||g_f||)
    adaptive_column  CowClip, `ctrfast.optim.cowclip`

Source: Zheng et al. 2022, arXiv:2204.06240, the comparison of clips; the authors' clip.py.
Differs from that code: the norm over all fields leaves the linear weights out, which no clip reaches.
As in that code, the constant limit of a row grows with the id's occurrences, and both adaptive limits have one floor.

    clip = bind_clip("field", clip_ratio=None, bound=None, clip_norm=0.1)
    factors, was_clipped = clip(Embeddings(gradients, rows, counts, FieldSlices(bounds)))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from ctrfast.config import ADAPTIVE_CLIPS, CONSTANT_CLIPS
from ctrfast.optim.cowclip import clip_factors, factors_within, smallest_norm
from ctrfast.optim.fields import Fields
from ctrfast.optim.norms import row_norms, row_squares


@dataclass(frozen=True)
class Embeddings:
    """What a clip may look at.

    gradients: (R, D) float32, of the mean loss plus L2. rows: (R, D) float32, before the update. counts: (R,) float32,
    occurrences of each id in the global batch. fields: says to which field each row belongs.
    """

    gradients: tf.Tensor
    rows: tf.Tensor
    counts: tf.Tensor
    fields: Fields


# Factors (R,) float32 in (0, 1], and which rows are clipped (R,) bool.
Clipped = tuple[tf.Tensor, tf.Tensor]


def clip_nothing(table: Embeddings) -> Clipped:
    """Factors of 1."""
    return tf.ones_like(table.counts), tf.zeros_like(table.counts, tf.bool)


def clip_globally(table: Embeddings, *, norm: float) -> Clipped:
    """One limit on the norm of all gradients together."""
    total = tf.sqrt(tf.reduce_sum(table.fields.total(row_squares(table.gradients))))  # ()
    factor, was_clipped = factors_within(norm, total)  # (), ()
    shape = tf.shape(table.counts)
    return tf.fill(shape, factor), tf.fill(shape, was_clipped)  # (R,), (R,)


def clip_fields(table: Embeddings, *, norm: float) -> Clipped:
    """A limit on the norm of each field's gradients."""
    return _clip_fields_to(tf.constant(norm), table)


def clip_columns(table: Embeddings, *, norm: float) -> Clipped:
    """A limit on the norm of each row's gradient, times the id's occurrences."""
    return factors_within(tf.maximum(table.counts, 1.0) * norm, row_norms(table.gradients))


def clip_fields_adaptively(table: Embeddings, *, ratio: float, bound: float) -> Clipped:
    """A limit on the norm of each field's gradients, by the norm of its rows; the table must hold all of these."""
    norm = tf.sqrt(table.fields.total(row_squares(table.rows)))  # (F,)
    floor = smallest_norm(table.rows.shape[1], ratio=ratio, bound=bound)
    return _clip_fields_to(ratio * tf.maximum(norm, floor), table)


def clip_columns_adaptively(table: Embeddings, *, ratio: float, bound: float) -> Clipped:
    """CowClip."""
    return clip_factors(table.gradients, table.rows, table.counts, ratio=ratio, bound=bound)


CLIPS: dict[str, Callable[..., Clipped]] = {
    "none": clip_nothing,
    "global": clip_globally,
    "field": clip_fields,
    "column": clip_columns,
    "adaptive_field": clip_fields_adaptively,
    "adaptive_column": clip_columns_adaptively,
}


def bind_clip(
    name: str, *, clip_ratio: float | None, bound: float | None, clip_norm: float | None
) -> Callable[[Embeddings], Clipped]:
    """The named clip with those of the values that it takes."""
    options: dict[str, Any] = {}
    if name in ADAPTIVE_CLIPS:
        options = {"ratio": clip_ratio, "bound": bound}
    elif name in CONSTANT_CLIPS:
        options = {"norm": clip_norm}
    return partial(CLIPS[name], **options)


def _clip_fields_to(limits: tf.Tensor, table: Embeddings) -> Clipped:
    """Limits () or (F,) of each field's norm."""
    norms = tf.sqrt(table.fields.total(row_squares(table.gradients)))  # (F,)
    factors, was_clipped = factors_within(limits, norms)  # (F,), (F,)
    return table.fields.spread(factors), table.fields.spread(was_clipped)  # (R,), (R,)
