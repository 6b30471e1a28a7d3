"""One optimizer step over the fused table and the dense weights: scatter, L2, clip, update.

`update: dense`, for each row k of the table, in the batch or not:
    g_k = sum of the row gradients of its occurrences + 2 l2 w_k        the embedding columns are then clipped
    w_k and its moments = rule(g_k) at lr_embed                         `ctrfast.optim.rules`
`update: sparse`: the same for the rows in the batch alone; all others keep weights and moments as they are. This is
different mathematics: an absent row neither decays nor goes on by its momentum, while Adam's bias correction counts
every step.
Dense weights: the same rule at lr_dense, those of the linear part with 2 l2 w; none is clipped.

The dense step in two forms, whose results agree to rounding:
    whole     one jitted function: scatter into a (V, D+2) gradient, one pass over the table
    touched   for batches that touch few rows: rows in the batch are gathered, updated and written back; all others have
              g_k = 2 l2 w_k, which no clip can reach while 2 l2 <= clip_ratio, and take a pass without a gradient

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1.
Differs from the authors' code: one table for all fields, one scatter that also counts, compiled updates: as separate
operations the same arithmetic reads and writes the table about ten times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ctrfast.optim.clip import Embeddings, bind_clip
from ctrfast.optim.fields import Fields, FieldSlices, FieldsOfRows
from ctrfast.optim.rates import rates
from ctrfast.optim.rules import OPTIMIZERS
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.trust import trust_by_field, trust_of

_SHAPES = 16  # that a batch's distinct rows are rounded up to


class TableOptimizer:
    """The optimizer of a fused table and of dense weights.

    Args:
        settings: rule, rates, L2, clip, which rows it updates.
        table: (V, D+1) float32 variable; the last column holds the linear weights, which no clip reaches.
        field_offsets: first row of each table, and of other ranges to be measured apart, (T,), rising from 0.
        linear: dense variables that take L2.
        deep: dense variables that take none.

    Replicas take `apply` in two: `sum_rows(ids, row_gradients)` gives the sums of gradients and the counts of each row,
    (V, D+2); added up over the replicas, `apply_sums(sums, dense_gradients)` takes the dense step.
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
        self.decay = tf.Variable(1.0, dtype=tf.float32, trainable=False, name="decay")
        self.dense = [*linear, *deep]
        self._linear_count = len(linear)
        self._rule = OPTIMIZERS[settings.optimizer]
        self._slots, *self._dense_slots = (
            [_zeros_like(variable) for _ in self._rule.slots] for variable in (table, *self.dense)
        )
        self._field_bounds = [*field_offsets, table.shape[0]]
        self._clip = bind_clip(
            settings.clip, clip_ratio=settings.clip_ratio, bound=settings.bound, clip_norm=settings.clip_norm
        )
        self._whole = tf.function(self._whole_step, jit_compile=True)
        self.sum_rows = tf.function(self._sums, jit_compile=True)
        self.apply_sums = tf.function(self._step_of_sums, jit_compile=True)
        self._update_absent = tf.function(self._decay_and_step_dense, jit_compile=True)
        self._update_listed = tf.function(self._update_list, jit_compile=True)
        self._update_dense = tf.function(self._step_dense, jit_compile=True)

    def has_touched_form(self) -> bool:
        """Whether a row that is absent from the batch needs nothing but itself: no other row's norm, and no clip.

        CowClip leaves an absent row alone if its gradient, 2 l2 w, is always within its limit, ratio * ||w|| or more.
        """
        settings = self.settings
        if settings.clip == "adaptive_column":
            is_left_alone = settings.clip_ratio is not None and 2.0 * settings.l2 <= settings.clip_ratio
        else:
            is_left_alone = settings.clip == "none"
        return settings.update == "dense" and self._rule.by_row and is_left_alone

    def apply(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor], *, touched: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step.

        Args:
            ids: (B, S) int32, rows of the fused table.
            row_gradients: (B, S, D+1) float32, of the mean loss over the global batch.
            dense_gradients: in the order of `linear`, `deep`.
            touched: take the form for batches that touch few rows; needs `has_touched_form()`.

        Returns:
            Per table, float32 (T,): rows present in the batch, and how many of these were clipped.
        """
        is_listed = touched or self.settings.update == "sparse"
        return (self._listed_step if is_listed else self._whole)(ids, row_gradients, dense_gradients)

    def reduce_rate(self, factor: float) -> None:
        """Multiply both rates by `factor` from the next step on."""
        self.decay.assign(self.decay * factor)

    def state(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint holds, by name: weights, moments, step, decay."""
        state = {"step": self.step, "decay": self.decay}
        names = ["table", *(f"dense.{index:02d}" for index in range(len(self.dense)))]
        all_slots = [self._slots, *self._dense_slots]
        for name, variable, slots in zip(names, (self.table, *self.dense), all_slots, strict=True):
            state |= {name: variable}
            state |= {f"{name}.{slot}": value for slot, value in zip(self._rule.slots, slots, strict=True)}
        return state

    def _whole_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._step_of_sums(self._sums(ids, row_gradients), dense_gradients)

    def _sums(self, ids: tf.Tensor, row_gradients: tf.Tensor) -> tf.Tensor:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        return tf.math.unsorted_segment_sum(counted, flat_ids, self.table.shape[0])  # (V, D+2)

    def _step_of_sums(self, sums: tf.Tensor, dense_gradients: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        step = self._next_step()
        fields = FieldSlices(self._field_bounds)
        new, was_clipped = self._updated([v.read_value() for v in self._table_variables], sums, fields, step)
        _assign(self._table_variables, new)
        self._step_dense(dense_gradients, step)
        return _count(fields, sums[:, -1], was_clipped)

    def _listed_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        present, place = tf.unique(flat_ids)  # (U,), (B*F,)
        # R rows, of which U are used: a sixteenth of B*F at a time, since each R is compiled anew.
        count = tf.size(present)
        piece = -(-flat_ids.shape[0] // _SHAPES)
        most = -(-count // piece) * piece  # R
        sums = tf.math.unsorted_segment_sum(counted, place, most)  # (R, D+2)
        padded = tf.pad(present, [[0, most - count]])  # (R,)
        old = [tf.gather(variable, padded) for variable in self._table_variables]
        step = self._next_step()
        new, was_clipped = self._update_listed(old, sums, padded, step)
        (self._update_dense if self.settings.update == "sparse" else self._update_absent)(dense_gradients, step)
        for variable, value in zip(self._table_variables, new, strict=True):
            variable.scatter_update(tf.IndexedSlices(value[:count], present))
        counts = sums[:count, -1]  # (U,)
        return _count(FieldsOfRows(self._field_bounds, present, counts), counts, was_clipped[:count])

    def _next_step(self) -> tf.Tensor:
        return tf.cast(self.step.assign_add(1, read_value=True), tf.float32)

    def _update_list(
        self, old: Sequence[tf.Tensor], sums: tf.Tensor, ids: tf.Tensor, step: tf.Tensor
    ) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
        return self._updated(old, sums, FieldsOfRows(self._field_bounds, ids, sums[:, -1]), step)

    def _updated(
        self, old: Sequence[tf.Tensor], sums: tf.Tensor, fields: Fields, step: tf.Tensor
    ) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
        """Rows and slots (R, D+1), sums of gradients and counts (R, D+2) -> new rows and slots, clipped (R,) bool."""
        rows, *slots = old
        gradients = sums[:, :-1] + 2.0 * self.settings.l2 * rows  # (R, D+1)
        embeddings = Embeddings(gradients[:, :-1], rows[:, :-1], sums[:, -1], fields)
        factors, was_clipped = self._clip(embeddings)  # (R,), (R,)
        # A mask keeps the linear column as it is; to cut the column off and join it again costs twice the time.
        is_embedding = tf.constant([True] * (rows.shape[1] - 1) + [False])  # (D+1,)
        gradients *= tf.where(is_embedding, factors[:, tf.newaxis], 1.0)  # (R, D+1)
        rate, _ = rates(self.settings, step, self.decay)
        return self._rule.update(rows, slots, gradients, step, rate, trust_by_field(fields)), was_clipped

    def _decay_and_step_dense(self, dense_gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        """Every row as if it were absent from the batch, and the dense weights."""
        rows, *slots = (variable.read_value() for variable in self._table_variables)  # (V, D+1)
        gradients = 2.0 * self.settings.l2 * rows  # (V, D+1)
        rate, _ = rates(self.settings, step, self.decay)
        trust = trust_by_field(FieldSlices(self._field_bounds))
        _assign(self._table_variables, self._rule.update(rows, slots, gradients, step, rate, trust))
        self._step_dense(dense_gradients, step)

    def _step_dense(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        _, rate = rates(self.settings, step, self.decay)
        for index, (variable, gradient) in enumerate(zip(self.dense, gradients, strict=True)):
            weight, slots = variable.read_value(), self._dense_slots[index]
            if index < self._linear_count:
                gradient = gradient + 2.0 * self.settings.l2 * weight
            old = [slot.read_value() for slot in slots]
            _assign([variable, *slots], self._rule.update(weight, old, gradient, step, rate, trust_of(variable)))

    @property
    def _table_variables(self) -> list[tf.Variable]:
        return [self.table, *self._slots]


def _flatten(ids: tf.Tensor, row_gradients: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids (B, F), gradients (B, F, D+1) -> ids (B*F,), gradients with a column of ones (B*F, D+2).

    The ones let one scatter count the occurrences as well: a second scatter would cost as much.
    """
    flat = tf.reshape(row_gradients, (-1, row_gradients.shape[-1]))  # (B*F, D+1)
    return tf.reshape(ids, (-1,)), tf.concat((flat, tf.ones_like(flat[:, :1])), axis=1)


def _count(fields: Fields, counts: tf.Tensor, was_clipped: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Counts (R,), clipped (R,) bool -> rows present in each field, and how many of these were clipped, (F,)."""
    is_present = counts > 0  # (R,)
    return fields.total(tf.cast(is_present, tf.float32)), fields.total(tf.cast(is_present & was_clipped, tf.float32))


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(np.zeros(variable.shape, np.float32), trainable=False)
