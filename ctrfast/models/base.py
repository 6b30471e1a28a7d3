"""What every CTR network shares: it maps looked-up table rows and numbers to a logit, in two parts.

    arrange   element by element: the shallow terms' logit, and the input of the deep part
    deep      matrix products

The parts are apart because a CPU runs the first fastest compiled and the second fastest as operations (`ctrfast.step`).

The fused table itself is not part of the network. It belongs to the optimizer step, which updates it as a whole and
hands the looked-up rows in; so the row gradients come out dense, (B, S, D+1), without
`IndexedSlices`. Lists are pooled on the way (`pooling`): a network sees F rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.gpus import set_up_gpus
from ctrfast.model_config import ModelConfig
from ctrfast.models.layers import Linear, join, split_rows
from ctrfast.models.task_heads import TaskHeads
from ctrfast.models.tower import Pass, Tower
from ctrfast.models.towers import make_tower

_MOST_SEEDS = 1000


class CtrModel(keras.layers.Layer):  # type: ignore[misc]
    """Base of the networks, with their linear part. A subclass builds what it has beside it in `_make_parts`.

    Args:
        config: widths.
        id_fields: F.
        numeric_fields: N, may be 0.
        seed: of the initial weights; one seed, one start.
        tasks: T, labels of the dataset. Where `config.tasks` is set, logits are (B, T) wherever (B,) is written here.
    """

    def __init__(self, config: ModelConfig, *, id_fields: int, numeric_fields: int, seed: int, tasks: int = 1) -> None:
        set_up_gpus()
        super().__init__(name=config.name)
        self.config = config
        self.id_fields = id_fields
        self.numeric_fields = numeric_fields
        self._seeds = iter(range(seed * _MOST_SEEDS, (seed + 1) * _MOST_SEEDS))
        self.width = id_fields * config.embedding_dim + numeric_fields
        self.linear = Linear(numeric_fields)
        self.tasks = tasks
        self.shares_of_tasks: tf.Variable | None = None
        if config.tasks is not None:
            self.shares_of_tasks = self.add_weight(name="shares_of_tasks", shape=(tasks,), initializer="ones")
        self._make_parts()
        width = config.embedding_dim + 1
        self(tf.zeros((1, id_fields, width)), tf.zeros((1, numeric_fields)))  # makes the variables

    def _make_parts(self) -> None:
        """Build the layers beside `linear`; `next_seed` seeds each. Without a deep part there may be none."""

    def arrange(self, rows: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows (B, F, D+1), numbers (B, N) -> the deep part's input (B, F*D + N), logit of the shallow terms (B,)."""
        embeddings, linear_weights = split_rows(rows)  # (B, F, D), (B, F)
        return join(embeddings, numbers), self.linear(linear_weights, numbers)

    def deep(self, joined: tf.Tensor) -> tf.Tensor:
        """What `arrange` joined (B, F*D + N), any float type -> logit of the deep part (B,) float32; 0 without one."""
        return tf.zeros_like(joined[:, 0], tf.float32)  # (B,)

    def logits(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Rows (B, F, D+1) float32, numbers (B, N) float32 -> logits (B,) float32."""
        joined, shallow = self.arrange(rows, numbers)
        return self.join_logits(shallow, self.deep(joined))  # (B,)

    def join_logits(self, beside: tf.Tensor, deep: tf.Tensor) -> tf.Tensor:
        """Terms beside the tower (B,), and the tower's, or what was joined with it -> (B,).

        Tasks share the terms beside the tower; each adds them times a learned weight: (B,), (B, T) -> (B, T).
        """
        if self.shares_of_tasks is None:
            return beside + deep
        return beside[:, tf.newaxis] * self.shares_of_tasks + deep

    def call(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Keras's name for `logits`."""
        return self.logits(rows, numbers)

    def next_seed(self) -> int:
        """A seed for one more layer, in the order of construction.

        Raises:
            ConfigError: there are too many layers.
        """
        seed = next(self._seeds, None)
        if seed is None:
            problem = f"A network must have at most {_MOST_SEEDS:,} layers of random weights. Got more."
            raise ConfigError(f"{problem} Choose fewer experts, levels or widths.", path="model")
        return seed

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

    @property
    def kept_variables(self) -> list[tf.Variable]:
        """What training keeps beside weights: averages of batch norms, and how many passes there were."""
        return list(self.non_trainable_variables)

    @contextmanager
    def watched(self, *, is_training: bool) -> Iterator[Pass]:
        """Within it, `deep` is of one pass, in which its towers leave their penalties and gates."""
        seen = Pass(is_training)
        with ExitStack() as stack:
            for part in self.submodules:
                if isinstance(part, Tower):
                    stack.enter_context(part.watched(seen))
            yield seen

    def _make_mlp(self, width: int | None = None) -> Tower | TaskHeads:
        """The configured tower, by default on the deep part's input; or heads for several tasks, made of such."""
        config, width = self.config, width or self.width
        if config.tasks is not None:
            return TaskHeads(config.tasks, config.tower, width, config.hidden, self.tasks, self.next_seed)
        return make_tower(config.tower, width, config.hidden, self.next_seed)

    def _glorot(self) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(self.next_seed())

    def _embeddings(self, joined: tf.Tensor) -> tf.Tensor:
        """Joined input (B, F*D + N) in any float type -> embeddings (B, F, D) float32."""
        F, D = self.id_fields, self.config.embedding_dim
        return tf.reshape(tf.cast(joined[:, : F * D], tf.float32), (-1, F, D))
