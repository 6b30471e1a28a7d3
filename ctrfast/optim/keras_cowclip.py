"""CowClip as a Keras optimizer, for any Keras model with `Embedding` layers.

    model.compile(optimizer=CowClip(l2=1e-5, warmup_steps=1000), loss="binary_crossentropy")

For each table w of V rows and each row k that occurs n_k times in the batch (all replicas together):
    g_k = sum of the gradients of its occurrences + 2 l2 w_k        clipped as in `ctrfast.optim.cowclip`
    w_k, m_k, v_k = adam(g_k) at embedding_learning_rate            every row, also those absent from the batch
All other weights: Adam at learning_rate * min(1, t / warmup_steps), neither clipped nor with L2.

A table is what has a `tf.IndexedSlices` gradient: its indices are the occurrences. Keras sums those of one id before
the update, which loses n_k; this optimizer sums them itself. Before that, TensorFlow joins the replicas' gradients.

Source: Zheng et al. 2022, arXiv:2204.06240, Algorithm 1 and section 5.
Differs from `ctrfast.optim.table_optimizer`: one table per `Embedding` layer instead of a fused one; a `Dense` layer
over numeric fields takes L2 by `kernel_regularizer` only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.optim.adam import adam
from ctrfast.optim.cowclip import clip_factors
from ctrfast.optim.lookups import looked_up
from ctrfast.traced import traced


def updated_table(
    rows: tf.Tensor,
    first: tf.Tensor,
    second: tf.Tensor,
    sums: tf.Tensor,
    step: tf.Tensor,
    *,
    rate: float,
    l2: float,
    clip_ratio: float | None,
    bound: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One table's step: L2, clip, Adam.

    Args:
        rows: w, (V, D).
        first: m, (V, D).
        second: v, (V, D).
        sums: (V, D+1), each id's gradients summed over its occurrences, then their count.
        step: t, (), 1 for the first step.
        rate: of Adam.
        l2: lambda of lambda * sum(w^2).
        clip_ratio: c > 0, or None for no clip.
        bound: beta > 0.

    Returns:
        w, m and v after the step.
    """
    gradient = sums[:, :-1] + 2.0 * l2 * rows  # (V, D)
    if clip_ratio is not None:
        factors, _ = clip_factors(gradient, rows, sums[:, -1], ratio=clip_ratio, bound=bound)  # (V,)
        gradient *= factors[:, tf.newaxis]  # (V, D)
    return adam(rows, first, second, gradient, step=step, rate=tf.constant(rate, rows.dtype))


@keras.saving.register_keras_serializable(package="ctrfast")
class CowClip(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Adam with CowClip on embedding tables, and plain Adam on all other weights.

    The rates' defaults are those that the paper used for Criteo at batch 1,024. `learning_rate` is named as in Keras's
    optimizers, so its schedules and callbacks change it; it holds for the dense weights alone, as in the paper the
    tables' rate stays.

    Args:
        learning_rate: of the dense weights, >= 0, or a Keras `LearningRateSchedule`.
        embedding_learning_rate: of the tables, >= 0.
        l2: lambda >= 0 of the penalty lambda * sum(w^2) over all table rows. Use it instead of
            `embeddings_regularizer`, which makes the tables' gradients dense.
        clip_ratio: c > 0 of the clip's limit; None clips nothing.
        bound: beta > 0 of the clip's limit.
        clip_linear: whether tables of width 1 (linear weights) are clipped as well.
        warmup_steps: steps over which the dense weights' rate rises linearly from 0, >= 0.
        jit_compile: compile the tables' update with XLA, on CPU too: about twice as fast, after a longer first step.
        name: of the optimizer.

    Raises:
        ConfigError: an argument breaks its rule; or, when `fit` or another `tf.function` is traced, a table that is
            looked up has a dense gradient (a regularizer, or another use of it), which hides how often ids occurred.
            Eager code leaves no trace of the lookup: there such a table takes the step of a dense weight.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 8e-4,
        embedding_learning_rate: float = 1e-4,
        *,
        l2: float = 0.0,
        clip_ratio: float | None = 1.0,
        bound: float = 1e-5,
        clip_linear: bool = False,
        warmup_steps: int = 0,
        jit_compile: bool = True,
        name: str = "CowClip",
    ) -> None:
        if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            learning_rate = _number("learning_rate", learning_rate, "Give a number or a Keras LearningRateSchedule.")
        self.embedding_learning_rate = _number(
            "embedding_learning_rate", embedding_learning_rate, "Give a number: a schedule is for the dense rate alone."
        )
        self.l2 = _number("l2", l2, "Give 0 for no penalty.")
        self.clip_ratio = clip_ratio
        if clip_ratio is not None:
            self.clip_ratio = _number("clip_ratio", clip_ratio, "Give None to clip nothing.", positive=True)
        self.bound = _number("bound", bound, "The paper took 1e-5 to 1e-3.", positive=True)
        self.clip_linear = clip_linear
        self.warmup_steps = int(_number("warmup_steps", warmup_steps, "Give 0 for none.", whole=True))
        # Not Keras's jit_compile: it is for GPUs alone, and compiles the scatter too, anew for each length of a batch.
        super().__init__(name=name, jit_compile=False)
        self._compiles = jit_compile
        self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, var_list: Iterable[tf.Variable]) -> None:
        """Create the moments of each variable, zero."""
        variables = list(var_list)
        super().build(variables)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._firsts = [self.add_variable_from_reference(variable, "m") for variable in variables]
        self._seconds = [self.add_variable_from_reference(variable, "v") for variable in variables]

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, tf.Variable]], *args: Any, **kwargs: Any
    ) -> tf.Variable:
        """Take one step, as in all Keras optimizers.

        Raises:
            ConfigError: a table that is looked up has a dense gradient.
        """
        pairs = list(grads_and_vars)
        dense = [variable for gradient, variable in pairs if isinstance(gradient, tf.Tensor)]
        for variable in looked_up(dense):
            error = ConfigError(
                f"The gradient of the table `{variable.name}` must be sparse, to count each id's occurrences. "
                "Got a dense one: replace its regularizer by CowClip's `l2`, or use the table for lookups only."
            )
            # Without this AutoGraph, which traces `fit`, would raise an error of its own class.
            error.ag_pass_through = True  # type: ignore[attr-defined]
            raise error
        return super().apply_gradients(pairs, *args, **kwargs)

    def _deduplicate_sparse_grad(self, grads: list[Any]) -> list[Any]:
        """Leave duplicates as they are: Keras would sum each id's, and lose how often it occurred."""
        return grads

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """Update one variable and its moments."""
        index = self._index_dict[self._var_key(variable)]
        targets = (variable, self._firsts[index], self._seconds[index])
        weight, first, second = (tf.convert_to_tensor(target) for target in targets)
        step = tf.cast(self.iterations + 1, weight.dtype)
        if isinstance(gradient, tf.IndexedSlices):
            update = self._updated_compiled if self._compiles else self._updated
            new = update(weight, first, second, _sums(gradient, weight), step)
        else:
            warmup = tf.minimum(1.0, step / max(self.warmup_steps, 1))
            rate = tf.cast(self.learning_rate, weight.dtype) * warmup
            new = adam(weight, first, second, gradient, step=step, rate=rate)
        for target, value in zip(targets, new, strict=True):
            target.assign(value)

    def _updated(
        self, table: tf.Tensor, first: tf.Tensor, second: tf.Tensor, sums: tf.Tensor, step: tf.Tensor
    ) -> list[tf.Tensor]:
        """A table and its moments (V, ...), with sums (V, D+1) -> the same after the step."""
        rows, m, v = (tf.reshape(tensor, (sums.shape[0], -1)) for tensor in (table, first, second))  # (V, D)
        is_clipped = self.clip_linear or rows.shape[1] > 1
        new = updated_table(
            rows,
            m,
            v,
            sums,
            step,
            rate=self.embedding_learning_rate,
            l2=self.l2,
            clip_ratio=self.clip_ratio if is_clipped else None,
            bound=self.bound,
        )  # (V, D)
        return [tf.reshape(tensor, table.shape) for tensor in new]

    @traced(jit_compile=True)  # type: ignore[untyped-decorator]
    def _updated_compiled(self, *arguments: tf.Tensor) -> list[tf.Tensor]:
        return self._updated(*arguments)

    def get_config(self) -> dict[str, Any]:
        """The arguments, by name."""
        return {
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "embedding_learning_rate": self.embedding_learning_rate,
            "l2": self.l2,
            "clip_ratio": self.clip_ratio,
            "bound": self.bound,
            "clip_linear": self.clip_linear,
            "warmup_steps": self.warmup_steps,
            "jit_compile": self._compiles,
            "name": self.name,
        }


def _sums(occurrences: tf.IndexedSlices, table: tf.Tensor) -> tf.Tensor:
    """Gradients of each occurrence (n, ...) of rows of a table (V, ...) -> sums and counts by row (V, D+1)."""
    # A vector of linear weights that tf.gather looks up is a table of width 1.
    width = math.prod(table.shape[1:])
    values = tf.reshape(tf.cast(occurrences.values, table.dtype), (-1, width))  # (n, D)
    # The column of ones lets one scatter count as well.
    counted = tf.concat((values, tf.ones_like(values[:, :1])), axis=1)  # (n, D+1)
    return tf.math.unsorted_segment_sum(counted, occurrences.indices, table.shape[0])  # (V, D+1)


def _number(name: str, value: Any, remedy: str, *, positive: bool = False, whole: bool = False) -> float:
    """The value as a float; refused unless finite and >= 0 (> 0 where `positive`), and whole where `whole`."""
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (positive and value == 0) or (whole and value != int(value)):
        rule = f"{'a whole number ' if whole else ''}{'> 0' if positive else '>= 0'}"
        raise ConfigError(f"`{name}` must be {rule}. Got {name}={value!r}. {remedy}", path=name)
    return float(value)
