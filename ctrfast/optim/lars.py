"""LARS as a pure function over a weight and its velocity.

    v <- b v + lr * eta * ||w|| / ||g|| * g      w <- w - v            norms over each layer (`ctrfast.optim.trust`)

Source: You et al. 2017, arXiv:1708.03888, Algorithm 1, with its momentum b and trust coefficient eta.
Differs from the source: L2 is part of g, as in our Adam, so that ||g|| stands for its ||g|| + beta ||w||.
A step is about lr * eta of a layer's norm: rates that suit Adam hardly move it.
"""

from __future__ import annotations

import tensorflow as tf

from ctrfast.optim.trust import Trust

MOMENTUM = 0.9
TRUST_COEFFICIENT = 1e-3


def lars(
    weight: tf.Tensor, velocity: tf.Tensor, gradient: tf.Tensor, *, rate: tf.Tensor, trust: Trust
) -> tuple[tf.Tensor, tf.Tensor]:
    """One step. All of one shape, float32.

    Args:
        weight: w before the step.
        velocity: v.
        gradient: g.
        rate: lr, () float32.
        trust: ratio of the layer's norms.

    Returns:
        w and v after the step.
    """
    velocity = MOMENTUM * velocity + rate * trust(weight, gradient, TRUST_COEFFICIENT) * gradient
    return weight - velocity, velocity
