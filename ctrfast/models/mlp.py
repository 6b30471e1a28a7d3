"""The plain tower: one layer after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from ctrfast.models.tower import Pass, Tower, affine
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
        names = [f"hidden_{index}" for index in range(len(hidden))] + ["output"]
        for layer, (inward, outward) in zip(names, itertools.pairwise((width, *hidden, outputs or 1)), strict=True):
            self._add_layer(layer, inward, outward)
        for outward in hidden:
            self._add_end(outward)

    def hidden(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H0) -> (B, H)."""
        dtype = inputs.dtype
        for index in range(len(self.ends)):
            inputs = self._end(index, affine(inputs, self.kernels[index], self.biases[index]), dtype, seen)
        return inputs
