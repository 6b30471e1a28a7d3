"""How a mixture's experts are used in training: the rows that each takes, added up from pass to pass.

    tally = ExpertTally.of(model)                # None where the network has no mixtures
    tally.add(seen, rows)                        # in each pass
    expert_figures([tally.take()])               # {"balance": 1.02, "expert_share": {"mixture_0.expert_0": 0.51, ...}}

Mixtures are counted from 0 in the order in which a row goes through them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.models import CtrModel
from ctrfast.models.tower import Pass
from ctrfast.tower_config import MoeSettings

Floats = npt.NDArray[np.float32]
NAME = "window.experts"  # in a checkpoint


class ExpertTally:
    """Sums over rows since the last `take`. They stay on the device.

    Args:
        mixtures: M, that a row goes through.
        experts: E, of each.

    Attributes:
        sums: (M, E+2) float32: rows that take each expert, the balance times the rows, the rows.
    """

    def __init__(self, mixtures: int, experts: int) -> None:
        self.sums = tf.Variable(tf.zeros((mixtures, experts + 2)), trainable=False, name="expert_tally")

    @classmethod
    def of(cls, model: CtrModel) -> ExpertTally | None:
        """One that fits a network; `None` where it has no mixtures."""
        tower = model.config.tower
        if not isinstance(tower, MoeSettings):
            return None
        with model.watched(is_training=False) as seen:
            width = model.config.embedding_dim + 1
            model.logits(tf.zeros((1, model.id_fields, width)), tf.zeros((1, model.numeric_fields)))
        return cls(len(seen.balances), tower.experts) if seen.balances else None

    def add(self, seen: Pass, rows: tf.Tensor) -> None:
        """Take in a pass through the network of so many rows, ()."""
        rows = tf.cast(rows, tf.float32)
        of_mixtures = [
            tf.concat((shares, tf.stack((balance, 1.0))), axis=0)
            for shares, balance in zip(seen.shares, seen.balances, strict=True)
        ]
        self.sums.assign_add(rows * tf.stack(of_mixtures))

    def take(self) -> Floats:
        """The sums, which begin anew."""
        sums: Floats = self.sums.numpy()
        self.sums.assign(tf.zeros_like(self.sums))
        return sums


def expert_figures(sums: Floats) -> dict[str, Any]:
    """Sums (M, E+2) of a tally, or of several added up -> mean balance of the mixtures, share of rows by expert."""
    means = sums[:, :-1].astype(np.float64) / np.maximum(sums[:, -1:], 1)
    shares = {
        f"mixture_{mixture}.expert_{expert}": float(share) for (mixture, expert), share in np.ndenumerate(means[:, :-1])
    }
    return {"balance": float(means[:, -1].mean()), "expert_share": shares}
