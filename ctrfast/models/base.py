"""What every CTR network shares: it maps looked-up table rows and numbers to a logit.

The fused table itself is not part of the network. It belongs to the optimizer step, which updates it as a whole and
hands the looked-up rows in; so the row gradients come out dense, (B, F, D+1), without `IndexedSlices`.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from ctrfast.config import ModelConfig
from ctrfast.models.layers import Linear


class CtrModel(keras.layers.Layer):  # type: ignore[misc]
    """Base of the networks, with their linear part. A subclass builds the others in `_make_parts`, and `logits`.

    Args:
        config: widths.
        id_fields: F.
        numeric_fields: N, may be 0.
        seed: of the initial weights; one seed, one start.
    """

    def __init__(self, config: ModelConfig, *, id_fields: int, numeric_fields: int, seed: int) -> None:
        super().__init__(name=config.name)
        self.config = config
        self.id_fields = id_fields
        self.numeric_fields = numeric_fields
        self._seeds = iter(range(seed * 1000, seed * 1000 + 1000))
        self.linear = Linear(numeric_fields)
        self._make_parts()
        width = config.embedding_dim + 1
        self(tf.zeros((1, id_fields, width)), tf.zeros((1, numeric_fields)))  # makes the variables

    def _make_parts(self) -> None:
        """Build the layers beside `linear`; `next_seed` seeds each."""
        raise NotImplementedError

    def logits(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Rows (B, F, D+1) float32, numbers (B, N) float32 -> logits (B,) float32."""
        raise NotImplementedError

    def call(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Keras's name for `logits`."""
        return self.logits(rows, numbers)

    def next_seed(self) -> int:
        """A seed for one more layer, in the order of construction."""
        return next(self._seeds)

    @property
    def dense_variables(self) -> list[tf.Variable]:
        """All weights outside the table, in a fixed order: the linear weights first."""
        return [*self.linear_variables, *self.deep_variables]

    @property
    def linear_variables(self) -> list[tf.Variable]:
        """Linear weights of the numeric fields (N, 1); they take the table's L2 at the dense rate."""
        return [self.linear.weights_of_numbers]

    @property
    def deep_variables(self) -> list[tf.Variable]:
        """The other dense weights; they take no L2."""
        linear = {id(variable) for variable in self.linear_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in linear]
