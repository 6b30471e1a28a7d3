"""Signs that training has gone wrong for good: no numbers, one output for all rows, a log loss far above a constant's.

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
# An answer that ignores its row has a normalised entropy of 1. Ten times that says worse than nothing at each row, and
# yet a network that has hardly begun may have it where clicks are rare: its log loss of about ln 2 is 12 times that of
# a label rate of 1 %. So both must be passed; a network that answers 1/2 has a third of the second one.
_WORST_ENTROPY, _WORST_START = 10.0, 3 * math.log(2)
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


def check_entropy(split: str, figures: Mapping[str, float], step: int) -> None:
    """Refuse a log loss far above that of always answering the label rate; each label's, where there are several.

    Labels that are all alike define no such ratio and are not judged.

    Args:
        split: for the message.
        figures: of the split, by the names of `ctrfast.metrics`.
        step: optimizer steps taken.
    """
    for name, entropy in figures.items():
        figure, _, task = name.partition(".")
        if figure != "normalised_entropy":
            continue
        loss = figures[name.replace(figure, "log_loss", 1)]
        if entropy > _WORST_ENTROPY and loss > _WORST_START:
            of = f"{split}, {task}" if task else split
            raise TrainingError(
                f"The {of} log loss is {loss:.4g} after step {step:,}, {entropy:.4g} "
                "times that of always answering the label rate: the training diverges. Lower optimizer.lr_dense or "
                "optimizer.lr_embed, raise optimizer.warmup_epochs, or set optimizer.clip."
            )


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
