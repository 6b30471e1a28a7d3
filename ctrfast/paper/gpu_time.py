"""How long the runs would take on one GPU, by speeds that were measured on one.

    seconds of a run = epochs * steps * B / speed(B)

speed(B) are rows a second of `ctrfast, from disk` in bench/results/gpu.md, median of three rounds: DeepFM, 26 id fields
x 10, 13 numbers, MLP [400, 400, 400], 1,067,398 ids, parquet shuffled on the way, one NVIDIA H100 80GB HBM3. Between
two measured batch sizes it is interpolated, both logarithmic. Evaluations and the start of a run are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

from ctrfast.config import TrainConfig

MEASURED: Mapping[int, int] = {1024: 436_561, 8192: 2_435_892, 65_536: 4_021_549, 131_072: 4_232_182}
BASIS = (
    "Speeds of DeepFM on one NVIDIA H100 from bench/results/gpu.md; without starts and evaluations. Other networks, "
    "larger tables and other GPUs have other speeds."
)


def gpu_speed(batch_size: int) -> float | None:
    """Rows a second; None for a batch size that the measured ones do not enclose."""
    sizes = sorted(MEASURED)
    for low, high in pairwise(sizes):
        if low <= batch_size <= high:
            share = math.log(batch_size / low) / math.log(high / low)
            return float(MEASURED[low] * (MEASURED[high] / MEASURED[low]) ** share)
    return None


def gpu_seconds(configs: Iterable[TrainConfig], train_rows: int) -> float | None:
    """Of all runs together; None where one's batch size has no measured speed.

    Args:
        configs: of the runs.
        train_rows: of the training split.
    """
    seconds = 0.0
    for config in configs:
        speed = gpu_speed(config.batch_size)
        if speed is None:
            return None
        seconds += config.epochs * (train_rows // config.batch_size) * config.batch_size / speed
    return seconds
