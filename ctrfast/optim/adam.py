"""Adam as a pure function over a weight and its two moments.

    m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
    w <- w - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

Source: Kingma & Ba 2015, arXiv:1412.6980, the form at the end of section 2 (epsilon is its epsilon-hat), as in Keras.
"""

from __future__ import annotations

import tensorflow as tf

from ctrfast.config import BETA_1

BETA_2 = 0.999
EPSILON = 1e-7


def adam(
    weight: tf.Tensor,
    first: tf.Tensor,
    second: tf.Tensor,
    gradient: tf.Tensor,
    *,
    step: tf.Tensor,
    rate: tf.Tensor,
    beta_1: float = BETA_1,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step. All of one shape, float32.

    Args:
        weight: w before the step.
        first: m, mean of the gradients.
        second: v, mean of their squares.
        gradient: g.
        step: t, () float32, 1 for the first step.
        rate: lr, () float32.
        beta_1: b1, in [0, 1).

    Returns:
        w, m and v after the step.
    """
    first = beta_1 * first + (1 - beta_1) * gradient
    second = BETA_2 * second + (1 - BETA_2) * tf.square(gradient)
    return weight - corrected_rate(rate, step, beta_1) * first / (tf.sqrt(second) + EPSILON), first, second


def corrected_rate(rate: tf.Tensor, step: tf.Tensor, beta_1: float = BETA_1) -> tf.Tensor:
    """Lr * sqrt(1 - b2^t) / (1 - b1^t), () float32: the moments start at 0, and are too small at first."""
    return rate * tf.sqrt(1 - tf.pow(BETA_2, step)) / (1 - tf.pow(beta_1, step))
