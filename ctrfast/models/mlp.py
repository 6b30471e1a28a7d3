"""The plain tower: one layer after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from ctrfast.models.tower import Pass, Tower
from ctrfast.tower_config import PLAIN, MlpSettings


class Mlp(Tower):
    """Layers of the given widths, then a linear one: (B, H0) -> (B,) float32, or (B, outputs) where that is given.

    h_l = end(h_{l-1} W_l + b_l), where end is norm, activation and dropout.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        next_seed: Callable[[], int],
        *,
        settings: MlpSettings = PLAIN,
        outputs: int | None = None,
        name: str = "mlp",
    ) -> None:
        super().__init__(settings, next_seed, outputs=outputs, name=name)
        for index, (inward, outward) in enumerate(itertools.pairwise((width, *hidden))):
            self._add_hidden(f"hidden_{index}", inward, outward)
        self._add_output((width, *hidden)[-1], outputs)
        for outward in hidden:
            self._add_end(outward)

    def hidden(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H0) -> (B, H)."""
        dtype = inputs.dtype
        for index, layer in enumerate(self.hidden_affines):
            inputs = self._end(index, layer(inputs), dtype, seen)
        return inputs
