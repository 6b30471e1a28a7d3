"""Learning rates of a step.

    lr_embed_t = lr_embed * decay * fall(t)                            t steps were taken before this one
    lr_dense_t = lr_dense * decay * fall(t) * min(1, (t + 1) / warmup_steps)
    fall(t) = (1 + cos(pi t / total_steps)) / 2                        `lr_decay: cosine`
              min(1, 2 (1 - t / total_steps))                          `lr_decay: cooldown`: constant, then to 0
              1                                                        else

`decay` belongs to the run: 1, until a plateau lowers it.

Source: Zheng et al. 2022, arXiv:2204.06240, section 5 (warm-up of the dense rate alone); Loshchilov & Hutter 2017,
arXiv:1608.03983, Eq. 5, without restarts; Haegele et al. 2024, arXiv:2405.18392 (cooldown).
"""

from __future__ import annotations

import math

import tensorflow as tf

from ctrfast.optim.step_settings import StepSettings


def rates(settings: StepSettings, step: tf.Tensor, decay: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The rates of the table and of the dense weights.

    Args:
        settings: says which apply.
        step: () float32, 1 for the first step.
        decay: () float32.

    Returns:
        lr_embed_t and lr_dense_t, () float32.
    """
    factor = decay
    done = tf.minimum((step - 1.0) / settings.total_steps, 1.0)
    if settings.lr_decay == "cosine":
        factor = factor * 0.5 * (1.0 + tf.cos(math.pi * done))
    elif settings.lr_decay == "cooldown":
        factor = factor * tf.minimum(1.0, 2.0 * (1.0 - done))
    warmup = tf.minimum(1.0, step / max(settings.warmup_steps, 1))
    return settings.lr_embed * factor, settings.lr_dense * warmup * factor
