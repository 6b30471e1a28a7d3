"""The weights outside the table, and what all weights share: the count of steps, and the decay of the rates.

g = mean gradient, + 2 l2 w for those of the linear part          none is clipped
w and its moments = rule(g) at lr_dense                           `ctrfast.optim.rules`
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ctrfast.optim.rates import rates
from ctrfast.optim.rules import rule_of
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.trust import trust_of


class DenseWeights:
    """Variables with their slots.

    Args:
        settings: rule, rates, L2.
        linear: variables that take L2.
        deep: variables that take none.
    """

    def __init__(self, settings: StepSettings, linear: Sequence[tf.Variable], deep: Sequence[tf.Variable]) -> None:
        self._settings = settings
        self._rule = rule_of(settings)
        self.variables = [*linear, *deep]
        self._linear_count = len(linear)
        self._slots = [[zeros_like(variable) for _ in self._rule.slots] for variable in self.variables]
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._decay = tf.Variable(1.0, dtype=tf.float32, trainable=False, name="decay")

    def next_step(self) -> tf.Tensor:
        """Number of the step that begins, () float32, 1 for the first."""
        return tf.cast(self._steps.assign_add(1, read_value=True), tf.float32)

    def rates(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rates of the table and of these weights at a step, () float32."""
        return rates(self._settings, step, self._decay)

    def reduce_rate(self, factor: float) -> None:
        """Multiply both rates by `factor` from the next step on."""
        self._decay.assign(self._decay * factor)

    def update(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        """Take a step by gradients of the mean loss over the global batch, in the order of `variables`."""
        _, rate = self.rates(step)
        for index, (variable, gradient) in enumerate(zip(self.variables, gradients, strict=True)):
            weight, slots = variable.read_value(), self._slots[index]
            if index < self._linear_count:
                gradient = gradient + 2.0 * self._settings.l2 * weight
            old = [slot.read_value() for slot in slots]
            assign([variable, *slots], self._rule.update(weight, old, gradient, step, rate, trust_of(variable)))

    def state(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint holds, by name: weights, moments, step, decay."""
        state = {"step": self._steps, "decay": self._decay}
        for index, (variable, slots) in enumerate(zip(self.variables, self._slots, strict=True)):
            name = f"dense.{index:02d}"
            state[name] = variable
            state |= {f"{name}.{slot}": value for slot, value in zip(self._rule.slots, slots, strict=True)}
        return state


def assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Set each variable to its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def zeros_like(variable: tf.Variable) -> tf.Variable:
    """A variable of the same shape, for a slot."""
    return tf.Variable(np.zeros(variable.shape, np.float32), trainable=False)
