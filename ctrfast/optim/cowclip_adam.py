"""One optimizer step over the fused table and the dense weights: scatter, L2, clip, Adam.

For each row k of the table, in the batch or not (`update: dense`):
    g_k = sum of the row gradients of its occurrences + 2 l2 w_k            the embedding columns are then clipped
    w_k, m_k, v_k = adam(g_k) at lr_embed
Dense weights: Adam at lr_dense * min(1, t / warmup_steps), those of the linear part with 2 l2 w; none is clipped.

The same step in two forms, whose results agree to rounding:
    whole     one jitted function: scatter into a (V, D+2) gradient, one pass over the table
    touched   for batches that touch few rows: rows in the batch are gathered, updated and written back; all others have
              g_k = 2 l2 w_k, which no clip can reach while 2 l2 <= clip_ratio, and take a pass without a gradient

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1 and section 5 (warm-up of the dense rate alone).
Differs from the authors' code: one table for all fields, one scatter that also counts, compiled updates: as separate
operations the same arithmetic reads and writes the table about ten times.
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
        self._whole = tf.function(self._whole_step, jit_compile=True)
        self._pass_without_gradient = tf.function(self._decay_and_step_dense, jit_compile=True)
        self._update_rows = tf.function(self._updated, jit_compile=True)

    def can_leave_absent_rows_unclipped(self) -> bool:
        """Whether an absent row's gradient, 2 l2 w, is always within its limit, ratio * ||w|| or more."""
        return self.settings.clip_ratio is None or 2.0 * self.settings.l2 <= self.settings.clip_ratio

    def apply(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor], *, touched: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step.

        Args:
            ids: (B, F) int32, rows of the fused table.
            row_gradients: (B, F, D+1) float32, of the mean loss over the global batch.
            dense_gradients: in the order of `linear`, `deep`.
            touched: take the form for batches that touch few rows; needs `can_leave_absent_rows_unclipped()`.

        Returns:
            Per field, float32 (F,): rows present in the batch, and how many of these were clipped.
        """
        return (self._touched_step if touched else self._whole)(ids, row_gradients, dense_gradients)

    def _whole_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        step = self._next_step()
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        sums = tf.math.unsorted_segment_sum(counted, flat_ids, self.table.shape[0])  # (V, D+2)
        old = (self.table.read_value(), self.first.read_value(), self.second.read_value())
        *new, was_clipped = self._updated(*old, sums, step)
        self._assign_table(new)
        self._step_dense(dense_gradients, step)
        present = sums[:, -1] > 0  # (V,)
        return self._by_field(present), self._by_field(present & was_clipped)

    def _touched_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        present, place = tf.unique(flat_ids)  # (U,), (B*F,)
        # Arrays of B*F rows, of which U are used: one shape, one compilation.
        most = flat_ids.shape[0]
        sums = tf.math.unsorted_segment_sum(counted, place, most)  # (B*F, D+2)
        padded = tf.pad(present, [[0, most - tf.size(present)]])  # (B*F,)
        old = [tf.gather(variable, tf.ensure_shape(padded, (most,))) for variable in self._table_variables]
        step = self._next_step()
        *new, was_clipped = self._update_rows(*old, sums, step)
        self._pass_without_gradient(dense_gradients, step)
        count = tf.size(present)
        for variable, value in zip(self._table_variables, new, strict=True):
            variable.scatter_update(tf.IndexedSlices(value[:count], present))
        field = tf.searchsorted(self._field_bounds[1:-1], present, side="right")  # (U,)
        fields = len(self._field_bounds) - 1
        clipped = tf.cast(was_clipped[:count], tf.float32)  # (U,)
        return (
            tf.math.unsorted_segment_sum(tf.ones_like(clipped), field, fields),
            tf.math.unsorted_segment_sum(clipped, field, fields),
        )

    def _next_step(self) -> tf.Tensor:
        return tf.cast(self.step.assign_add(1, read_value=True), tf.float32)

    def _updated(
        self, rows: tf.Tensor, first: tf.Tensor, second: tf.Tensor, sums: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Rows and moments (R, D+1), sums of gradients and counts (R, D+2) -> new rows and moments, clipped (R,)."""
        settings, width = self.settings, rows.shape[1]
        counts = sums[:, -1]  # (R,)
        gradients = sums[:, :-1] + 2.0 * settings.l2 * rows  # (R, D+1)
        was_clipped = tf.zeros_like(counts, tf.bool)  # (R,)
        if settings.clip_ratio is not None:
            factors, was_clipped = clip_factors(
                gradients[:, :-1], rows[:, :-1], counts, ratio=settings.clip_ratio, bound=settings.bound
            )  # (R,), (R,)
            # A mask keeps the linear column as it is; to cut the column off and join it again costs twice the time.
            is_embedding = tf.constant([True] * (width - 1) + [False])  # (D+1,)
            gradients *= tf.where(is_embedding, factors[:, tf.newaxis], 1.0)  # (R, D+1)
        rate = tf.constant(settings.lr_embed)
        return *adam(rows, first, second, gradients, step=step, rate=rate), was_clipped

    def _decay_and_step_dense(self, dense_gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        rows = self.table.read_value()  # (V, D+1)
        gradients = 2.0 * self.settings.l2 * rows  # (V, D+1)
        rate = tf.constant(self.settings.lr_embed)
        self._assign_table(adam(rows, self.first, self.second, gradients, step=step, rate=rate))
        self._step_dense(dense_gradients, step)

    @property
    def _table_variables(self) -> tuple[tf.Variable, tf.Variable, tf.Variable]:
        return self.table, self.first, self.second

    def _assign_table(self, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(self._table_variables, values, strict=True):
            variable.assign(value)

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


def _flatten(ids: tf.Tensor, row_gradients: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids (B, F), gradients (B, F, D+1) -> ids (B*F,), gradients with a column of ones (B*F, D+2).

    The ones let one scatter count the occurrences as well: a second scatter would cost as much.
    """
    flat = tf.reshape(row_gradients, (-1, row_gradients.shape[-1]))  # (B*F, D+1)
    return tf.reshape(ids, (-1,)), tf.concat((flat, tf.ones_like(flat[:, :1])), axis=1)


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(np.zeros(variable.shape, np.float32), trainable=False)
