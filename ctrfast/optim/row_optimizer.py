"""The step of `ctrfast.optim.table_optimizer` on a CPU: the table in place, absent rows later; the same arithmetic.

The table and its moments live in a `RowTable`. The variable that the network predicts from is behind until `settle()`
brings all rows up to date and copies them there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.optim.adam import corrected_rate
from ctrfast.optim.dense_weights import DenseWeights
from ctrfast.optim.row_table import RowTable
from ctrfast.optim.step_settings import StepSettings
from ctrfast.traced import traced

Floats = npt.NDArray[np.float32]

_ROWS_AT_ONCE = 1_000_000


class RowOptimizer:
    """The optimizer of a fused table and of dense weights.

    Args:
        settings: rates, L2, beta_1.
        rows: the table.
        published: (V, D+1) float32 variable, which `settle` sets.
        linear: dense variables that take L2.
        deep: dense variables that take none.
    """

    def __init__(
        self,
        settings: StepSettings,
        rows: RowTable,
        published: tf.Variable,
        linear: Sequence[tf.Variable],
        deep: Sequence[tf.Variable],
    ) -> None:
        self.rows = rows
        self._dense = DenseWeights(settings, linear, deep)
        self._beta_1 = settings.beta_1
        self._published, self._published_step = published, rows.step
        self._update_dense = traced(self._step_dense, jit_compile=True)

    @property
    def dense(self) -> list[tf.Variable]:
        """The dense variables: linear, then deep."""
        return self._dense.variables

    def update(self, dense_gradients: Sequence[tf.Tensor]) -> tuple[Floats, Floats]:
        """Take a step, once all row gradients were added to `rows`.

        Returns:
            Per id table, float32 (T,): rows present in the batch, and how many of these were clipped.
        """
        return self.rows.update(float(self._update_dense(dense_gradients)))

    def settle(self) -> None:
        """Bring all rows and the published table up to date."""
        if self._published_step != self.rows.step:
            self.rows.settle()
            self._publish()

    def reduce_rate(self, factor: float) -> None:
        """Multiply both rates by `factor` from the next step on."""
        self._dense.reduce_rate(factor)

    def state(self) -> dict[str, tf.Variable | Floats]:
        """Everything that a checkpoint holds, by name: weights, moments, step, decay; up to date."""
        self.settle()
        rows = self.rows
        return {
            **self._dense.state(),
            "table": rows.weight,
            "table.first": rows.first,
            "table.second": rows.second,
        }

    def restore(self, restore: Callable[[Mapping[str, tf.Variable | Floats]], None]) -> None:
        """Have a function set the state."""
        state = self.state()
        restore(state)
        self.rows.stand_at(int(state["step"]))
        self._publish()

    def _publish(self) -> None:
        weight = self.rows.weight
        for start in range(0, len(weight), _ROWS_AT_ONCE):  # one assignment would take the table's memory twice more
            end = min(start + _ROWS_AT_ONCE, len(weight))
            tf.raw_ops.ResourceStridedSliceAssign(
                ref=self._published.handle,
                begin=[start, 0],
                end=[end, weight.shape[1]],
                strides=[1, 1],
                value=weight[start:end],
            )
        self._published_step = self.rows.step

    def _step_dense(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """One step of the dense weights; the table's rate of the step, with Adam's bias correction."""
        step = self._dense.next_step()
        self._dense.update(gradients, step)
        rate, _ = self._dense.rates(step)
        return corrected_rate(rate, step, self._beta_1)
