"""LAMB as a pure function over a weight and its two moments.

    m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
    r = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)
    w <- w - lr * ||w|| / ||r|| * r                                    norms over each layer (`ctrfast.optim.trust`)

Source: You et al. 2020, arXiv:1904.00962, Algorithm 2, with its b1, b2 and epsilon.
Differs from the source: L2 is part of g, as in our Adam, and not added to r.
A layer whose weights all start at 0, such as the linear ones, moves freely once, and then by small shares of itself.
"""

from __future__ import annotations

import tensorflow as tf

from ctrfast.optim.trust import Trust

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-6


def lamb(
    weight: tf.Tensor,
    first: tf.Tensor,
    second: tf.Tensor,
    gradient: tf.Tensor,
    *,
    step: tf.Tensor,
    rate: tf.Tensor,
    trust: Trust,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step. All of one shape, float32.

    Args:
        weight: w before the step.
        first: m, mean of the gradients.
        second: v, mean of their squares.
        gradient: g.
        step: t, () float32, 1 for the first step.
        rate: lr, () float32.
        trust: ratio of the layer's norms.

    Returns:
        w, m and v after the step.
    """
    first = BETA_1 * first + (1 - BETA_1) * gradient
    second = BETA_2 * second + (1 - BETA_2) * tf.square(gradient)
    mean, square = first / (1 - tf.pow(BETA_1, step)), second / (1 - tf.pow(BETA_2, step))
    direction = mean / (tf.sqrt(square) + EPSILON)
    return weight - rate * trust(weight, direction, 1.0) * direction, first, second
