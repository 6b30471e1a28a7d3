"""Trust ratios: how long a layer's step is, by the norm of its weights over that of its direction.

    ratio = coefficient * ||w|| / ||u||        1 where either norm is 0, and for layers that are left out

Source: You et al. 2017, arXiv:1708.03888, Eq. 6; You et al. 2020, arXiv:1904.00962, Algorithm 2 (phi is the identity).
A layer is each dense variable, each field's embeddings and each field's linear weights. Left out, as is usual: biases
and other variables of at most one dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ctrfast.optim.fields import Fields
from ctrfast.optim.norms import row_squares

# Weights and direction of one shape, coefficient -> what to multiply the direction by, of a shape that broadcasts.
Trust = Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]


def trust_of(variable: tf.Variable) -> Trust:
    """The trust ratio of a dense variable."""
    return trust_whole if variable.shape.rank > 1 else trust_fully


def trust_whole(weight: tf.Tensor, direction: tf.Tensor, coefficient: float) -> tf.Tensor:
    """One ratio () for the whole variable."""
    return _ratio(tf.reduce_sum(tf.square(weight)), tf.reduce_sum(tf.square(direction)), coefficient)


def trust_fully(*_: object) -> tf.Tensor:
    """1, for a variable that is left out."""
    return tf.constant(1.0)


def trust_by_field(fields: Fields) -> Trust:
    """The trust ratios of a fused table (V, D+1), whose last column holds the linear weights: two for each field."""

    def trust(weight: tf.Tensor, direction: tf.Tensor, coefficient: float) -> tf.Tensor:
        of_embeddings, of_linear = (
            fields.spread(_ratio(fields.total(of_weight), fields.total(of_direction), coefficient))
            for of_weight, of_direction in (
                (row_squares(weight[:, :-1]), row_squares(direction[:, :-1])),
                (tf.square(weight[:, -1]), tf.square(direction[:, -1])),
            )
        )  # (V,), (V,)
        is_embedding = tf.constant([True] * (weight.shape[1] - 1) + [False])  # (D+1,)
        return tf.where(is_embedding, of_embeddings[:, tf.newaxis], of_linear[:, tf.newaxis])  # (V, D+1)

    return trust


def _ratio(weight_squares: tf.Tensor, direction_squares: tf.Tensor, coefficient: float) -> tf.Tensor:
    """Sums of squares -> the ratio, of their shape."""
    has_both = (weight_squares > 0) & (direction_squares > 0)
    ratio = tf.sqrt(tf.where(has_both, weight_squares, 1.0)) / tf.sqrt(tf.where(has_both, direction_squares, 1.0))
    return tf.where(has_both, coefficient * ratio, 1.0)
