"""The tiny sizes of the golden files, their rows, and how weights are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.parity.golden import Array

SIZES, NUMBERS, WIDTH, HIDDEN = (5, 7, 3, 6), 2, 4, (8, 6)
FIELDS = len(SIZES)
OFFSETS = np.concatenate(([0], np.cumsum(SIZES)[:-1])).astype(np.int32)
ROWS = 16
WEIGHTS_STD = 0.4  # large enough that every part of a network shows in the logit
_SEED = 1


def ids() -> npt.NDArray[np.int32]:
    """Ids (R, F), local to the field."""
    return np.random.default_rng(_SEED).integers(0, SIZES, (ROWS, FIELDS)).astype(np.int32)


def numbers(count: int) -> npt.NDArray[np.float32]:
    """Numbers (R, N)."""
    return np.random.default_rng(_SEED + 1).standard_normal((ROWS, count), np.float32)


class Draws:
    """Weights of a network, one after the other."""

    def __init__(self, std: float = WEIGHTS_STD) -> None:
        self._rng, self._std = np.random.default_rng(_SEED + 2), std

    def __call__(self, shape: Sequence[int]) -> npt.NDArray[np.float32]:
        """The next ones, normal."""
        return (self._rng.standard_normal(shape) * self._std).astype(np.float32)


def table(embeddings: Sequence[Array], linear: Sequence[Array] | None) -> Array:
    """Embeddings (n, D) and linear weights (n, 1) of each field -> fused table (V, D+1); without linear weights, 0."""
    columns = np.concatenate(embeddings)
    last = np.zeros_like(columns[:, :1]) if linear is None else np.concatenate(linear)
    return np.concatenate((columns, last), axis=1)
