"""How long one row takes, of several models asked in turns, so that a noisy moment meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctrfast.score import Scorer

_ROUNDS, _CALLS = 10, 100


def row_latencies(
    scorers: Sequence[Scorer], ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]
) -> list[float]:
    """Median seconds of a call with one row by each model, on one thread.

    Args:
        scorers: the models.
        ids: of the row, rows of the fused table, (1, S).
        numbers: of the row, (1, N).
    """
    seconds: list[list[float]] = [[] for _ in scorers]
    for _ in range(_ROUNDS):
        for scorer, found in zip(scorers, seconds, strict=True):
            for _ in range(_CALLS):
                start = time.perf_counter()
                scorer.score_arrays(ids, numbers)
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in seconds]
