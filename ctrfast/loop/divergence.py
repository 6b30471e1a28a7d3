"""Signs that training has gone wrong for good: figures or weights that are no numbers, one output for all rows.

Each check raises `TrainingError` with what was seen, at which step, and what to try. Training ends there: a run with
such weights is never a success.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.errors import TrainingError
from ctrfast.metrics import sigmoid

_LOWER_RATES = "Lower optimizer.lr_dense or optimizer.lr_embed."
_ENOUGH_ROWS = 100
_ROWS_AT_ONCE = 1_000_000
_ROUNDING = 1e-6  # a few units in the last place of a float32


def check_loss(loss: float, step: int) -> None:
    """Refuse a training loss that is no finite number."""
    if not math.isfinite(loss):
        raise TrainingError(f"The loss is {loss} at step {step:,}. {_LOWER_RATES}")


def check_figures(split: str, figures: Mapping[str, float], step: int) -> None:
    """Refuse an evaluation with a figure that is no finite number."""
    if not all(map(math.isfinite, figures.values())):
        raise TrainingError(f"The {split} log loss is {figures['log_loss']} after step {step:,}. {_LOWER_RATES}")


def check_output(split: str, lowest: float, highest: float, *, rows: int, step: int) -> None:
    """Refuse a network that gives all rows of a split the same logit or the same float32 probability.

    Args:
        split: for the message.
        lowest: of the rows' logits.
        highest: of the rows' logits.
        rows: of the split; a few may well be alike.
        step: optimizer steps taken.
    """
    probabilities = sigmoid([lowest, highest]).astype(np.float32)
    is_constant = highest - lowest <= _ROUNDING * max(1.0, abs(lowest), abs(highest))
    if rows >= _ENOUGH_ROWS and (is_constant or probabilities[0] == probabilities[1]):
        raise TrainingError(
            f"All {rows:,} {split} rows get the same probability, {probabilities[0]:.6g}, after step {step:,}: the "
            "network no longer sees its input. Lower optimizer.lr_dense, optimizer.lr_embed or optimizer.l2."
        )


def check_weights(weights: Iterable[tf.Variable | npt.NDArray[np.float32]], step: int) -> None:
    """Refuse weights that are no finite numbers."""
    if not all(_is_finite(weight) for weight in weights):
        raise _bad_weight(step)


def check_norms(norms: Iterable[float], step: int) -> None:
    """Refuse norms of weights that are no finite numbers, since then a weight is none."""
    if not all(map(math.isfinite, norms)):
        raise _bad_weight(step)


def _bad_weight(step: int) -> TrainingError:
    return TrainingError(f"A weight is not a finite number after step {step:,}. {_LOWER_RATES}")


def _is_finite(weight: tf.Variable | npt.NDArray[np.float32]) -> bool:
    if isinstance(weight, np.ndarray):
        starts = range(0, len(weight), _ROWS_AT_ONCE)
        return all(bool(np.isfinite(weight[start : start + _ROWS_AT_ONCE]).all()) for start in starts)
    return bool(tf.reduce_all(tf.math.is_finite(weight)))
