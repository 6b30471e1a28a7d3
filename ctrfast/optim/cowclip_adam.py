"""One optimizer step over the fused table and the dense weights: scatter, L2, clip, Adam, in one jitted function.

For each row k of the table, in the batch or not (`update: dense`):
    g_k = sum of the row gradients of its occurrences + 2 l2 w_k            the embedding columns are then clipped
    w_k, m_k, v_k = adam(g_k) at lr_embed
Dense weights: Adam at lr_dense * min(1, t / warmup_steps), those of the linear part with 2 l2 w; none is clipped.

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1 and section 5 (warm-up of the dense rate alone).
Differs from the authors' code: one table for all fields, one scatter that also counts, one compiled update: as
separate operations the same arithmetic reads and writes the table about ten times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ctrfast.optim.adam import adam
from ctrfast.optim.cowclip import clip_factors
from ctrfast.optim.scaling import Plan


@dataclass(frozen=True)
class StepSettings:
    """What a step needs of a plan. Units: rates per step; `l2` is lambda of lambda * sum(w^2)."""

    lr_dense: float
    lr_embed: float
    l2: float
    clip_ratio: float | None
    bound: float
    warmup_steps: int

    @classmethod
    def of(cls, plan: Plan, steps_per_epoch: int) -> StepSettings:
        """The settings of a plan for data of so many steps an epoch."""
        return cls(
            lr_dense=plan.lr_dense,
            lr_embed=plan.lr_embed,
            l2=plan.l2,
            clip_ratio=plan.clip_ratio if plan.clip == "adaptive_column" else None,
            bound=plan.bound,
            warmup_steps=round(plan.warmup_epochs * steps_per_epoch),
        )


class CowClipAdam:
    """Adam with CowClip on a fused table, and plain Adam on dense weights.

    Args:
        settings: rates, L2, clip.
        table: (V, D+1) float32 variable; the last column holds the linear weights.
        field_offsets: first row of each id field, (F,), rising from 0.
        linear: dense variables that take L2.
        deep: dense variables that take none.
    """

    def __init__(
        self,
        settings: StepSettings,
        table: tf.Variable,
        field_offsets: Sequence[int],
        linear: Sequence[tf.Variable],
        deep: Sequence[tf.Variable],
    ) -> None:
        self.settings = settings
        self.table = table
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.first, self.second = _zeros_like(table), _zeros_like(table)
        self._linear_count = len(linear)
        self.dense = [*linear, *deep]
        self.dense_first = [_zeros_like(variable) for variable in self.dense]
        self.dense_second = [_zeros_like(variable) for variable in self.dense]
        self._field_bounds = [*field_offsets, table.shape[0]]
        self.apply = tf.function(self._apply, jit_compile=True)

    def _apply(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step.

        Args:
            ids: (B, F) int32, rows of the fused table.
            row_gradients: (B, F, D+1) float32, of the mean loss over the global batch.
            dense_gradients: in the order of `linear`, `deep`.

        Returns:
            Per field, float32 (F,): rows present in the batch, and how many of these were clipped.
        """
        self.step.assign_add(1)
        step = tf.cast(self.step, tf.float32)
        shares = self._step_table(ids, row_gradients, step)
        self._step_dense(dense_gradients, step)
        return shares

    def _step_table(self, ids: tf.Tensor, row_gradients: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        settings = self.settings
        rows = self.table.read_value()  # (V, D+1)
        width = rows.shape[1]
        flat_ids = tf.reshape(ids, (-1,))  # (B*F,)
        flat_gradients = tf.reshape(row_gradients, (-1, width))  # (B*F, D+1)
        # A column of ones makes the scatter count the occurrences as well: a second scatter would cost as much.
        counted = tf.concat((flat_gradients, tf.ones_like(flat_gradients[:, :1])), axis=1)  # (B*F, D+2)
        sums = tf.math.unsorted_segment_sum(counted, flat_ids, rows.shape[0])  # (V, D+2)
        counts = sums[:, -1]  # (V,)
        gradients = sums[:, :-1] + 2.0 * settings.l2 * rows  # (V, D+1)
        present = counts > 0  # (V,)
        was_clipped = tf.zeros_like(present)  # (V,)
        if settings.clip_ratio is not None:
            factors, was_clipped = clip_factors(
                gradients[:, :-1], rows[:, :-1], counts, ratio=settings.clip_ratio, bound=settings.bound
            )  # (V,), (V,)
            # A mask keeps the linear column as it is; to cut the column off and join it again costs twice the time.
            is_embedding = tf.constant([True] * (width - 1) + [False])  # (D+1,)
            gradients *= tf.where(is_embedding, factors[:, tf.newaxis], 1.0)  # (V, D+1)
        new = adam(rows, self.first, self.second, gradients, step=step, rate=tf.constant(settings.lr_embed))
        for variable, value in zip((self.table, self.first, self.second), new, strict=True):
            variable.assign(value)
        return self._by_field(present), self._by_field(present & was_clipped)

    def _step_dense(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        settings = self.settings
        warmup = tf.minimum(1.0, step / max(settings.warmup_steps, 1))
        rate = settings.lr_dense * warmup
        for index, (variable, gradient) in enumerate(zip(self.dense, gradients, strict=True)):
            weight = variable.read_value()
            if index < self._linear_count:
                gradient = gradient + 2.0 * settings.l2 * weight
            first, second = self.dense_first[index], self.dense_second[index]
            new = adam(weight, first, second, gradient, step=step, rate=rate)
            for target, value in zip((variable, first, second), new, strict=True):
                target.assign(value)

    def _by_field(self, flags: tf.Tensor) -> tf.Tensor:
        """Count of set flags (V,) in each field's rows -> (F,)."""
        ones = tf.cast(flags, tf.float32)
        pairs = zip(self._field_bounds[:-1], self._field_bounds[1:], strict=True)
        return tf.stack([tf.reduce_sum(ones[start:end]) for start, end in pairs])

    def state(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint holds, by name: weights, moments, step."""
        state = {"step": self.step, "table": self.table, "table.first": self.first, "table.second": self.second}
        for index, variable in enumerate(self.dense):
            name = f"dense.{index:02d}"
            state |= {name: variable}
            state |= {f"{name}.first": self.dense_first[index], f"{name}.second": self.dense_second[index]}
        return state


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(np.zeros(variable.shape, np.float32), trainable=False)
