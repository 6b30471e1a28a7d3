"""How long a training will take on this machine's processor, from what it does in a fifth of a second.

    seconds of a step = B (6 P / flops + 300 S (D+1) / bandwidth) + 40 V (D+1) / bandwidth

P are the multiply-adds of a row (2 operations each forward, 4 backward), S its ids, and V (D+1) the numbers of the
embedding table, which a dense update passes over; `update: sparse` passes over the rows of the batch, at the price of a
batch's. flops and bandwidth are those of a matrix product and of a copy, measured at the time of asking. An evaluated
row costs a third. Workers of a cluster share the rows, and each passes over its own table; they are taken to share this
machine, too.

300 and 40 bytes are fitted to bench/results/train.md (DeepFM, 1 M ids, 2 cores), which the formula then meets within a
fifth. On other models and machines expect a factor of 2, which is the range that is given; without TensorFlow's start
and without a GPU, whose speed nothing here measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.network_sizes import network_size

BASIS = (
    "A matrix product and a memory copy, timed just now on this machine's processor, and the work of a step; "
    "right within a factor of 2, without the start and without a GPU."
)
_FACTOR = 2.0
_ROW_BYTES, _PASS_BYTES = 300, 40  # per number
_PRODUCT_ROWS, _PRODUCT_WIDTH = 8192, 400  # a micro-batch in a hidden layer of the published network
_COPIED = 8 * 2**20  # numbers: beyond the caches
_TRIES = 4


@dataclass(frozen=True)
class Speed:
    """flops: float32 operations a second in a matrix product. bandwidth: bytes a second, read and written."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class TimeEstimate:
    """Of all epochs with their evaluations. basis: what it rests on, in a sentence."""

    steps: int
    seconds_per_step: float
    low_s: float
    high_s: float
    basis: str = BASIS


def estimate_time(dataset: Dataset, config: TrainConfig, speed: Speed) -> TimeEstimate:
    """Foresee the seconds of a run to its last epoch; early stopping ends it sooner."""
    fitted, model, B = dataset.fitted, config.model, config.batch_size
    F, N, D = len(fitted.schema_.id_names), len(fitted.schema_.numeric_names), model.embedding_dim
    S = fitted.schema_.slots
    size = network_size(model, F, N, tasks=len(fitted.schema_.labels))
    row_s = 6 * size.multiply_adds / speed.flops + _ROW_BYTES * S * (D + 1) / speed.bandwidth
    if config.optimizer.update == "sparse":
        pass_s = _ROW_BYTES * min(fitted.table_rows, B * S) * (D + 1) / speed.bandwidth
    else:
        pass_s = _PASS_BYTES * fitted.table_rows * (D + 1) / speed.bandwidth
    step_s = B * row_s + pass_s * (config.cluster.workers or 1)
    steps = dataset.rows("train") // B * config.epochs
    evaluations = config.epochs + (steps // config.evaluate_every_steps if config.evaluate_every_steps else 0)
    evaluated = dataset.rows("valid") * evaluations + dataset.rows("test")
    seconds = steps * step_s + evaluated * row_s / 3
    return TimeEstimate(steps, step_s, seconds / _FACTOR, seconds * _FACTOR)


def measure_speed() -> Speed:
    """What this machine does now, beside whatever else runs on it."""
    inputs = np.ones((_PRODUCT_ROWS, _PRODUCT_WIDTH), np.float32)
    weights = np.ones((_PRODUCT_WIDTH, _PRODUCT_WIDTH), np.float32)
    outputs = np.empty_like(inputs)
    product_s = _shortest_s(lambda: np.matmul(inputs, weights, out=outputs))
    source = np.ones(_COPIED, np.float32)
    target = np.empty_like(source)
    copy_s = _shortest_s(lambda: np.copyto(target, source))
    return Speed(2 * _PRODUCT_ROWS * _PRODUCT_WIDTH**2 / product_s, 2 * source.nbytes / copy_s)


def _shortest_s(work: Callable[[], object]) -> float:
    shortest = float("inf")
    for _ in range(_TRIES):
        started = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest
