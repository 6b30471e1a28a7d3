"""Leave out the pairs of fields that weigh least, of a network that weights its pairs: the others are computed alone.

    sum over the pairs i < j that stay of r_ij <e_i, e_j>             a pair leaves where |r_ij| is among the smallest

The whole sum multiplies all fields with all fields, in F * F * D products. Where few pairs stay, each is multiplied
alone, in D products; where many do, all fields are still multiplied with all, which is faster, and fewer are taken.

Source: Deng et al. 2021, "DeepLight", WSDM, arXiv:2002.06987, which prunes r by magnitude.
Differs from the source: all at once and after training, where it prunes a growing share as training goes on; embeddings
stay as they are. r starts at 1, so that a brief training leaves all pairs near each other.

    without_pairs(network.model, 0.9).pairs.kept      # places of the pairs that stay, 33 of 325
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.models import CtrModel, build_model
from ctrfast.models.field_pairs import WeightedPairs, inner_products, pair_places

_AS_FAST = 25  # ONNX Runtime multiplies all F * F at once in the time of F * F / 25 pairs one by one (F = 26, D = 10)


class KeptPairs(keras.layers.Layer):  # type: ignore[misc]
    """Sum over some pairs of r_ij <e_i, e_j>: (B, F, D) -> (B,).

    Args:
        fields: F.
        kept: places of the pairs among the F (F - 1) / 2, in the order of `pair_places`.
        pair_weights: r of each, (P,) float32.
    """

    def __init__(self, fields: int, kept: Sequence[int], pair_weights: npt.NDArray[np.float32]) -> None:
        super().__init__(name="kept_pairs")
        self.kept = tuple(kept)
        self._fields = fields
        self._first, self._second = ([places[at] for at in kept] for places in pair_places(fields))
        start = keras.initializers.Constant(pair_weights)
        self.pair_weights = self.add_weight(name="r", shape=(len(kept),), initializer=start)

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Embeddings (B, F, D) -> (B,)."""
        F = self._fields
        if _AS_FAST * len(self.kept) > F * F:
            return tf.linalg.matvec(inner_products(embeddings, self.kept), self.pair_weights)
        first, second = (tf.gather(embeddings, fields, axis=1) for fields in (self._first, self._second))  # (B, P, D)
        return tf.linalg.matvec(tf.reduce_sum(first * second, axis=2), self.pair_weights)


def without_pairs(model: CtrModel, share: float) -> CtrModel:
    """A new network without the given share, in (0, 1), of its weighted pairs, rounded; one at least stays.

    Raises:
        ConfigError: the network does not weight its pairs.
    """
    pairs = getattr(model, "pairs", None)
    if not isinstance(pairs, WeightedPairs):
        problem = f"`prune_pairs` needs a network that weights its pairs: fwfm or deep_fwfm. Got {model.config.name}"
        raise ConfigError(f"{problem}. Export without it.", path="prune_pairs")
    smaller = build_model(
        model.config, id_fields=model.id_fields, numeric_fields=model.numeric_fields, seed=0, tasks=model.tasks
    )
    for old, new in zip(model.weights, smaller.weights, strict=True):
        new.assign(old)
    pair_weights = pairs.pair_weights.numpy()
    kept = kept_pairs(pair_weights, share)
    if len(kept) < len(pair_weights):
        smaller.pairs = KeptPairs(model.id_fields, kept, pair_weights[kept])
    return smaller


def kept_pairs(pair_weights: npt.NDArray[np.float32], share: float) -> list[int]:
    """Places, rising, of the pairs that stay, by their weights (P,); of equal ones the first leaves first."""
    leave = min(round(share * len(pair_weights)), len(pair_weights) - 1)
    return sorted(np.argsort(np.abs(pair_weights), kind="stable")[leave:].tolist())
