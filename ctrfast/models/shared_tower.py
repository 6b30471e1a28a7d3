"""A tower of one block, applied again and again: as deep as one wants, with the weights of one block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from ctrfast.models.tower import Pass, Tower
from ctrfast.tower_config import SharedSettings


class SharedTower(Tower):
    """h_0 = end(x W_in + b_in), h_k = block(h_{k-1}) for k = 1 ... repeats, logit = h_repeats w + b.

    block has a layer for each width of `hidden`; h_0 is as wide as the last. Norms are each application's own.

    Source: Lan et al. 2019, arXiv:1909.11942, section 3.1 (parameters shared across layers); norms of their own:
    Xue et al. 2021, arXiv:2107.11817.
    Differs from the sources: blocks of MLP layers without residual paths.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        next_seed: Callable[[], int],
        *,
        settings: SharedSettings,
        outputs: int | None = None,
        name: str = "mlp",
    ) -> None:
        super().__init__(settings, next_seed, outputs=outputs, name=name)
        self._repeats = settings.repeats
        self._add_hidden("inward", width, hidden[-1])
        for index, (inward, outward) in enumerate(itertools.pairwise((hidden[-1], *hidden))):
            self._add_hidden(f"block_{index}", inward, outward)
        self._add_output(hidden[-1], outputs)
        for outward in (hidden[-1], *(tuple(hidden) * settings.repeats)):
            self._add_end(outward)

    def hidden(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H0) -> (B, H)."""
        dtype = inputs.dtype
        first, *block = self.hidden_affines
        for index, layer in enumerate([first, *(block * self._repeats)]):
            inputs = self._end(index, layer(inputs), dtype, seen)
        return inputs
