"""How a training step runs on the devices at hand: the one place that decides.

On a CPU, TensorFlow's matrix products run faster as operations than under XLA, all else runs faster compiled, and the
activations of a large batch fall out of the cache: forward and backward run in micro-batches, whatever the batch size,
the products as operations between compiled parts, and the table is updated in place (`ctrfast.row_step`). On a GPU the
whole batch runs at once, and all of it is compiled (`ctrfast.table_step`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ctrfast.config import CPU_MICRO_BATCH_ROWS
from ctrfast.models import CtrModel
from ctrfast.models.pooling import Pooling
from ctrfast.optim.row_optimizer import RowOptimizer
from ctrfast.optim.row_table import RowTable
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.table_optimizer import TableOptimizer
from ctrfast.row_step import RowStep
from ctrfast.table_step import TableStep


@dataclass(frozen=True)
class Execution:
    """How a step runs.

    micro_batch_size: rows of one forward and backward pass, `None` for the whole batch.
    jit: compile all of that pass; else only what the network does element by element.
    in_place: update the table in the machine's memory, where the settings allow it.
    """

    micro_batch_size: int | None
    jit: bool
    in_place: bool


def choose_execution(micro_batch_size: int | None = None) -> Execution:
    """The fastest form for the devices at hand, by measurement on CPU, with the micro-batches of one's own if set."""
    if tf.config.list_physical_devices("GPU"):
        return Execution(micro_batch_size, jit=True, in_place=False)
    return Execution(micro_batch_size or CPU_MICRO_BATCH_ROWS, jit=False, in_place=True)


def make_step(
    model: CtrModel,
    table: tf.Variable,
    starts: Sequence[int],
    settings: StepSettings,
    *,
    batch_size: int,
    execution: Execution | None = None,
    precision: str = "float32",
    replicas: int = 1,
    pooling: Pooling | None = None,
) -> RowStep | TableStep:
    """The step of a run, with its optimizer.

    Args:
        model: the network.
        table: (V, D+1) float32 variable; the last column holds the linear weights.
        starts: first row of each id table, and of other ranges to be measured apart, (T,), rising from 0.
        settings: of the update.
        batch_size: B.
        execution: how to run; by default `choose_execution`.
        precision: of the MLP's products: float32, bfloat16 or float16.
        replicas: how many steps share the batch.
        pooling: of the fields of lists, where there are any.
    """
    execution = execution or choose_execution()
    linear, deep = model.linear_variables, model.deep_variables
    micro = execution.micro_batch_size
    if execution.in_place and replicas == 1 and settings.by_row:
        slots = pooling.slots if pooling else model.id_fields
        rows = RowTable(settings, np.asarray(table), starts, most_ids=batch_size * slots)
        optimizer = RowOptimizer(settings, rows, table, linear, deep)
        return RowStep(
            model,
            optimizer,
            batch_size,
            micro_batch_size=micro or batch_size,
            precision=precision,
            pooling=pooling,
        )
    return TableStep(
        model,
        TableOptimizer(settings, table, starts, linear, deep, list_rows=not execution.jit),
        batch_size,
        micro_batch_size=micro,
        jit=execution.jit,
        precision=precision,
        replicas=replicas,
        pooling=pooling,
    )
