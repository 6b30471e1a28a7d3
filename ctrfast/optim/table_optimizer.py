"""One optimizer step over the fused table and the dense weights: scatter, L2, clip, update.

`update: dense`, for each row k of the table, in the batch or not:
    g_k = sum of the row gradients of its occurrences + 2 l2 w_k        the embedding columns are then clipped
    w_k and its moments = rule(g_k) at lr_embed                         `ctrfast.optim.rules`
`update: sparse`: the same for the rows in the batch alone; all others keep weights and moments as they are. This is
different mathematics: an absent row neither decays nor goes on by its momentum, while Adam's bias correction counts
every step. With `list_rows` the rows in the batch are listed and updated alone; else all rows are computed, and absent
ones keep what they had.
Dense weights: the same rule at lr_dense, those of the linear part with 2 l2 w; none is clipped.

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1.
Differs from the authors' code: one table for all fields, one scatter that also counts, compiled updates: as separate
operations the same arithmetic reads and writes the table about ten times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from ctrfast.optim.clip import Embeddings, bind_clip
from ctrfast.optim.dense_weights import DenseWeights, assign, zeros_like
from ctrfast.optim.fields import Fields, FieldSlices, FieldsOfRows, PresentRows
from ctrfast.optim.row_lists import packed, padded, summed_by_row, unpacked
from ctrfast.optim.rules import rule_of
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.trust import trust_by_field
from ctrfast.traced import traced

_SHAPES = 16  # that a batch's distinct rows are rounded up to


class TableOptimizer:
    """The optimizer of a fused table and of dense weights.

    Args:
        settings: rule, rates, L2, clip, which rows it updates.
        table: (V, D+1) float32 variable; the last column holds the linear weights, which no clip reaches.
        field_offsets: first row of each table, and of other ranges to be measured apart, (T,), rising from 0.
        linear: dense variables that take L2.
        deep: dense variables that take none.
        list_rows: take a sparse step on a list of the rows in the batch, else on all rows under a mask.

    Replicas take `apply` in two: `sum_rows(ids, row_gradients)` gives the sums of gradients and the counts of each row,
    (V, D+2); added up over the replicas, `apply_sums(sums, dense_gradients)` takes the step, of those rows alone that
    were counted where the update is sparse. Or `list_sums(ids, row_gradients)` gives those of the rows in the ids
    alone, with their numbers, (U, D+3), and `apply_lists` takes the step from the lists of all.
    """

    def __init__(
        self,
        settings: StepSettings,
        table: tf.Variable,
        field_offsets: Sequence[int],
        linear: Sequence[tf.Variable],
        deep: Sequence[tf.Variable],
        *,
        list_rows: bool = True,
    ) -> None:
        self.settings = settings
        self._is_sparse = settings.update == "sparse"
        self.lists_rows = self._is_sparse and list_rows
        self.table = table
        self._dense = DenseWeights(settings, linear, deep)
        self._rule = rule_of(settings)
        self._slots = [zeros_like(table) for _ in self._rule.slots]
        self._field_bounds = [*field_offsets, table.shape[0]]
        self._clip = bind_clip(
            settings.clip, clip_ratio=settings.clip_ratio, bound=settings.bound, clip_norm=settings.clip_norm
        )
        self._whole = traced(self._whole_step, jit_compile=True)
        self.sum_rows = traced(self._sums, jit_compile=True)
        self.apply_sums = (
            self._listed_step_of_sums if settings.update == "sparse" else traced(self._step_of_sums, jit_compile=True)
        )
        self.list_sums = traced(self._listed_sums)
        self._sum_lists = traced(self._sums_of_lists, jit_compile=True)
        self._update_listed = traced(self._update_list, jit_compile=True)
        self._update_dense = traced(self._dense.update, jit_compile=True)

    @property
    def dense(self) -> list[tf.Variable]:
        """The dense variables: linear, then deep."""
        return self._dense.variables

    def apply(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step.

        Args:
            ids: (B, S) int32, rows of the fused table.
            row_gradients: (B, S, D+1) float32, of the mean loss over the global batch.
            dense_gradients: in the order of `linear`, `deep`.

        Returns:
            Per table, float32 (T,): rows present in the batch, and how many of these were clipped.
        """
        step = self._listed_step if self.lists_rows else self._whole
        return step(ids, row_gradients, dense_gradients)

    def apply_lists(
        self, lists: tf.Tensor, dense_gradients: Sequence[tf.Tensor], most: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step.

        Args:
            lists: (L, D+3) float32, those of all replicas, one behind the other.
            dense_gradients: of the mean loss over the global batch.
            most: ids of the global batch, B S.

        Returns:
            As `apply`.
        """
        if self._is_sparse:
            rows, sums = unpacked(lists)  # (L,), (L, D+2)
            return self._step_of_rows(rows, sums, dense_gradients, most)
        return self.apply_sums(self._sum_lists(padded(lists, -(-most // _SHAPES))), dense_gradients)

    def settle(self) -> None:
        """Nothing: `table` is up to date after each step."""

    def reduce_rate(self, factor: float) -> None:
        """Multiply both rates by `factor` from the next step on."""
        self._dense.reduce_rate(factor)

    def state(self) -> dict[str, tf.Variable]:
        """Everything that a checkpoint holds, by name: weights, moments, step, decay."""
        slots = {f"table.{name}": value for name, value in zip(self._rule.slots, self._slots, strict=True)}
        return {**self._dense.state(), "table": self.table, **slots}

    def restore(self, restore: Callable[[Mapping[str, tf.Variable]], None]) -> None:
        """Have a function set the state."""
        restore(self.state())

    def _whole_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._step_of_sums(self._sums(ids, row_gradients), dense_gradients)

    def _sums(self, ids: tf.Tensor, row_gradients: tf.Tensor) -> tf.Tensor:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        return tf.math.unsorted_segment_sum(counted, flat_ids, self.table.shape[0])  # (V, D+2)

    def _step_of_sums(self, sums: tf.Tensor, dense_gradients: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        step = self._dense.next_step()
        counts = sums[:, -1]  # (V,)
        fields = PresentRows(self._field_bounds, counts) if self._is_sparse else FieldSlices(self._field_bounds)
        old = [variable.read_value() for variable in self._table_variables]
        new, was_clipped = self._updated(old, sums, fields, step)
        if self._is_sparse:
            is_present = counts[:, tf.newaxis] > 0  # (V, 1)
            new = [tf.where(is_present, after, before) for after, before in zip(new, old, strict=True)]
        assign(self._table_variables, new)
        self._dense.update(dense_gradients, step)
        return _count(fields, counts, was_clipped)

    def _listed_sums(self, ids: tf.Tensor, row_gradients: tf.Tensor) -> tf.Tensor:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        present, sums = summed_by_row(flat_ids, counted, -(-flat_ids.shape[0] // _SHAPES))  # (U,), (R, D+2)
        return packed(present, sums[: tf.size(present)])  # (U, D+3)

    def _sums_of_lists(self, lists: tf.Tensor) -> tf.Tensor:
        rows, sums = unpacked(lists)  # (L,), (L, D+2)
        return tf.math.unsorted_segment_sum(sums, rows, self.table.shape[0])  # (V, D+2)

    def _listed_step(
        self, ids: tf.Tensor, row_gradients: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        flat_ids, counted = _flatten(ids, row_gradients)  # (B*F,), (B*F, D+2)
        return self._step_of_rows(flat_ids, counted, dense_gradients, flat_ids.shape[0])

    def _step_of_rows(
        self, rows: tf.Tensor, counted: tf.Tensor, dense_gradients: Sequence[tf.Tensor], most: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take the step of rows (L,), of which equal ones are added up, with gradients and counts (L, D+2).

        They are padded to R rows, a sixteenth of `most` at a time, since each R is compiled anew.
        """
        present, sums = summed_by_row(rows, counted, -(-most // _SHAPES))  # (U,), (R, D+2)
        return self._update_present(present, sums, dense_gradients)

    def _listed_step_of_sums(
        self, sums: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        present = tf.cast(tf.where(sums[:, -1] > 0)[:, 0], tf.int32)  # (U,)
        count = tf.size(present)
        piece = -(-self.table.shape[0] // _SHAPES)
        listed = tf.gather(sums, present)  # (U, D+2)
        return self._update_present(
            present, tf.pad(listed, [[0, -(-count // piece) * piece - count], [0, 0]]), dense_gradients
        )

    def _update_present(
        self, present: tf.Tensor, sums: tf.Tensor, dense_gradients: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take the step of rows (U,) by their sums (R, D+2), of which the first U count."""
        count = tf.size(present)
        padded = tf.pad(present, [[0, tf.shape(sums)[0] - count]])  # (R,)
        old = [tf.gather(variable, padded) for variable in self._table_variables]
        step = self._dense.next_step()
        new, was_clipped = self._update_listed(old, sums, padded, step)
        self._update_dense(dense_gradients, step)
        for variable, value in zip(self._table_variables, new, strict=True):
            variable.scatter_update(tf.IndexedSlices(value[:count], present))
        counts = sums[:count, -1]  # (U,)
        return _count(FieldsOfRows(self._field_bounds, present, counts), counts, was_clipped[:count])

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
        rate, _ = self._dense.rates(step)
        return self._rule.update(rows, slots, gradients, step, rate, trust_by_field(fields)), was_clipped

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
