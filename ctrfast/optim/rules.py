"""The optimizers by name: each one's update of a weight, and the slots (moments) that it keeps beside the weight.

rule = rule_of(settings)
weight, *slots = rule.update(weight, slots, gradient, step, rate, trust_of(variable))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import tensorflow as tf

from ctrfast.config import BETA_1
from ctrfast.optim.adam import adam
from ctrfast.optim.lamb import lamb
from ctrfast.optim.lars import lars
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.trust import Trust

# Weight, slots, gradient, step () from 1, rate (), trust ratio -> the new weight and slots.
Update = Callable[[tf.Tensor, Sequence[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor, Trust], tuple[tf.Tensor, ...]]


@dataclass(frozen=True)
class UpdateRule:
    """slots: names of what it keeps, each of the weight's shape."""

    slots: tuple[str, ...]
    update: Update


def _adam(beta_1: float) -> Update:
    return lambda weight, slots, gradient, step, rate, _: adam(
        weight, slots[0], slots[1], gradient, step=step, rate=rate, beta_1=beta_1
    )


OPTIMIZERS = {
    "adam": UpdateRule(
        ("first", "second"),
        update=_adam(BETA_1),
    ),
    "lamb": UpdateRule(
        ("first", "second"),
        update=lambda weight, slots, gradient, step, rate, trust: lamb(
            weight, slots[0], slots[1], gradient, step=step, rate=rate, trust=trust
        ),
    ),
    "lars": UpdateRule(
        ("first",),
        update=lambda weight, slots, gradient, _, rate, trust: lars(weight, slots[0], gradient, rate=rate, trust=trust),
    ),
}


def rule_of(settings: StepSettings) -> UpdateRule:
    """The optimizer of a run. `beta_1` is Adam's alone: LAMB and LARS keep their articles'."""
    rule = OPTIMIZERS[settings.optimizer]
    if settings.optimizer != "adam":
        return rule
    return replace(rule, update=_adam(settings.beta_1))
