"""A network with its table, ready to predict: what training evaluates, and what a finished run is opened as.

Trained on a share r of the rows without a click, a network gives p, too high; the log's own probability is

    q = p / (p + (1 - p) / r),      as logits: logit(q) = logit(p) + ln r

Source: He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD, section 6.3.
All predictions come from `corrected_logits`; the training loss alone takes the network's own logits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.checkpoint import Checkpoint
from ctrfast.config import CPU_MICRO_BATCH_ROWS as CHUNK
from ctrfast.fitted_schema import FittedSchema
from ctrfast.model_config import ModelConfig
from ctrfast.models import CtrModel, build_model
from ctrfast.models.pooling import Pooling
from ctrfast.traced import traced

_ROWS_AT_ONCE = 1_000_000


class Network:
    """A `CtrModel` and the fused table.

    Args:
        config: the model's settings.
        fitted: says F, S, N, T and V. Of several labels, logits are (R, T) wherever (R,) is written here.
        seed: of the initial weights.
        embedding_init_std: of the embeddings' normal start; the linear column starts at 0.
        negative_rate: r, share of the training rows without a click that were kept.
    """

    def __init__(
        self,
        config: ModelConfig,
        fitted: FittedSchema,
        *,
        seed: int,
        embedding_init_std: float,
        negative_rate: float = 1.0,
    ) -> None:
        schema = fitted.schema_
        F, N, D = len(schema.id_names), len(schema.numeric_names), config.embedding_dim
        self.labels = schema.labels
        self.model: CtrModel = build_model(config, id_fields=F, numeric_fields=N, seed=seed, tasks=len(self.labels))
        self.pooling = Pooling.of(fitted)
        self.slots = schema.slots
        start = np.zeros((fitted.table_rows, D + 1), np.float32)
        rng = np.random.default_rng(seed)
        for rows in np.array_split(start, -(-len(start) // _ROWS_AT_ONCE)):  # views; a whole draw takes the table again
            rows[:, :D] = rng.standard_normal((len(rows), D), np.float32) * np.float32(embedding_init_std)
        start[[row for name, row in fitted.row_ranges if name is None]] = 0.0  # padding: without gradient it stays so
        self.table = tf.Variable(start, name="table")
        self._logit_offset = math.log(negative_rate)
        self._predict = self._compiled()

    @classmethod
    def from_checkpoint(
        cls, config: ModelConfig, fitted: FittedSchema, checkpoint: Checkpoint, negative_rate: float
    ) -> Network:
        """A trained network; moments stay on disk.

        Raises:
            ArtifactError: the checkpoint does not fit.
        """
        network = cls(config, fitted, seed=0, embedding_init_std=0.0, negative_rate=negative_rate)
        checkpoint.restore(network.weights())
        return network

    def with_model(self, model: CtrModel) -> Network:
        """The same table under another model of as many fields."""
        other = copy.copy(self)
        other.model = model
        other._predict = other._compiled()
        return other

    def weights(self) -> dict[str, tf.Variable]:
        """All that it predicts with, by name in a checkpoint: the table, the dense weights, averages of batch norms."""
        dense = {f"dense.{index:02d}": variable for index, variable in enumerate(self.model.dense_variables)}
        averages = {name: variable for name, variable in self.kept().items() if variable.dtype.is_floating}
        return {"table": self.table, **dense, **averages}

    def kept(self) -> dict[str, tf.Variable]:
        """Averages of batch norms and counts of passes, by name in a checkpoint; most networks keep none."""
        return {f"kept.{index:02d}": variable for index, variable in enumerate(self.model.kept_variables)}

    def logits(self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ids (R, S) rows of the fused table, numbers (R, N) -> logits (R,) float32, corrected."""
        parts = [
            self._predict(ids[start : start + CHUNK], numbers[start : start + CHUNK]).numpy()
            for start in range(0, len(ids), CHUNK)
        ]
        none = (0,) if len(self.labels) == 1 else (0, len(self.labels))
        return np.concatenate(parts) if parts else np.empty(none, np.float32)

    def corrected_logits(self, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """Pooled rows (R, F, D+1), numbers (R, N) -> logits (R,) of the log's own probabilities."""
        return self.model.logits(rows, numbers) + self._logit_offset  # (R,)

    def look_up(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids (R, S) rows of the fused table -> pooled rows (R, F, D+1)."""
        rows = tf.gather(self.table, ids)  # (R, S, D+1)
        return rows if self.pooling is None else self.pooling(rows, ids)

    def _compiled(self) -> Callable[..., tf.Tensor]:
        ids = tf.TensorSpec((None, self.slots), tf.int32)
        numbers = tf.TensorSpec((None, self.model.numeric_fields), tf.float32)
        compiled: Callable[..., tf.Tensor] = traced(self._logits, input_signature=(ids, numbers))
        return compiled

    def _logits(self, ids: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        return self.corrected_logits(self.look_up(ids), numbers)  # (R,)
