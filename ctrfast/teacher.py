"""What a student takes from a trained mixture of experts: its first weights, and softer labels.

Weights: the table and the linear part as they are; of the tower, the first and the last layer and the norms as they
are, and each mixture merged into one layer (`ctrfast.expert_merge`). Crosses and the like are taken over by a student
that has the same network around its tower, and start anew in another.

Labels: (1 - share) y + share p, with p the teacher's probability. The log loss is linear in the label, so the loss is
(1 - share) times that against the labels, plus share times that against the teacher.

Source: Xue et al. 2022, arXiv:2201.10890; Hinton et al. 2015, arXiv:1503.02531.
Differs from the sources: no temperature, which for one probability would only blur what is calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.checkpoint import Checkpoint, set_value
from ctrfast.config import CPU_MICRO_BATCH_ROWS, TrainConfig
from ctrfast.data.batches import Batch, batches
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError, unknown_name
from ctrfast.expert_merge import merge_experts
from ctrfast.metrics import sigmoid
from ctrfast.model_config import MODEL_NAMES, ModelConfig
from ctrfast.models import CtrModel, build_model
from ctrfast.models.moe_tower import MoeTower
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.tower_config import MlpSettings, MoeSettings

Floats = npt.NDArray[np.float32]


class Teacher:
    """A finished run of a mixture of experts, and the student that it fits.

    Args:
        run: of the teacher.
        dataset: that the student trains on.
        into: name of the student's network.
        share: of the teacher's probability in a label, 0 to 1.

    Raises:
        ConfigError: the run has no mixture in its only tower, there is no such network, its tower has another input, or
            the share is none.
        ArtifactError: the dataset was encoded otherwise than the run's, or the run's weights are gone.

    Attributes:
        network, model: the teacher's, and its settings.
        config: of the student's run: the teacher's, with another network.
    """

    def __init__(self, run: Run, dataset: Dataset, into: str, share: float) -> None:
        model = run.config.model
        if not isinstance(model.tower, MoeSettings) or model.name == "final_mlp":
            problem = "The teacher must be a run of one tower moe. Got"
            raise ConfigError(f"{problem} {model.name} with {model.tower.name}. Train one.", path="run")
        if model.tasks is not None:
            problem = f"The teacher must be a run of one label. Got one of {len(dataset.fitted.schema_.labels)}"
            raise ConfigError(f"{problem} with tasks={model.tasks.kind}. Distil from another.", path="run")
        if not 0 <= share <= 1:
            problem = f"`share` must be at least 0 and at most 1. Got share={share:g}."
            raise ConfigError(f"{problem} 0.5 weighs teacher and labels alike.", path="share")
        if run.encoder().fitted != dataset.fitted:
            problem = "The dataset must be encoded as that of the teacher."
            raise ArtifactError(f"{problem} Give the dataset that it was trained on.", path="data")
        self.run, self.model, self.share = run, model, share
        self._dataset = dataset
        self._logit_offset = math.log(dataset.negative_rate)
        checkpoint = Checkpoint.open(run.checkpoint, run.seal)
        self.network = Network.from_checkpoint(model, dataset.fitted, checkpoint, run.negative_rate)
        self.config = run.config.model_copy(update={"model": _dense(model, into)})
        self._check_input()

    def check(self, config: TrainConfig) -> None:
        """Refuse a config that is not of the student.

        Raises:
            ConfigError: the network is another one.
        """
        if config.model != self.config.model:
            problem = f"`model` must be the teacher's student, {self.config.model}. Got {config.model}."
            raise ConfigError(f"{problem} Begin with the teacher's `config`.", path="model")

    @property
    def origin(self) -> dict[str, str]:
        """What a student's manifest says of where it comes from."""
        return {"warm_start": self.run.seal, "soft_labels": f"{self.share:g}"}

    def labels(self, batch: Batch) -> Floats:
        """Labels (B,) of a batch, mixed with the teacher's probabilities of its training rows."""
        logits = self.network.logits(batch.ids, batch.numbers) - self._logit_offset
        mixed: Floats = ((1 - self.share) * batch.labels + self.share * sigmoid(logits)).astype(np.float32)
        return mixed

    def restore(self, state: Mapping[str, tf.Variable | Floats]) -> None:
        """Set the student's first weights among a run's variables by name (`TableOptimizer.state`)."""
        teacher, student = self.network.model, self._new_student()
        if student.config.name == teacher.config.name:
            _copy(_around(teacher), _around(student))
        else:
            _copy(teacher.linear.weights, student.linear.weights)
        for layer, (kernel, bias) in zip(student.mlp.affines, self._merged(teacher.mlp), strict=True):
            layer.kernel.assign(kernel)
            if layer.bias is not None:
                layer.bias.assign(bias)
        for old, new in zip(teacher.mlp.ends, student.mlp.ends, strict=True):
            _copy(old.trainable_weights, new.trainable_weights)
        set_value(state["table"], self.network.table.numpy())
        for index, variable in enumerate(student.dense_variables):
            set_value(state[f"dense.{index:02d}"], variable.numpy())

    def _new_student(self) -> CtrModel:
        teacher = self.network.model
        fields = {"id_fields": teacher.id_fields, "numeric_fields": teacher.numeric_fields}
        return build_model(self.config.model, **fields, seed=self.config.seed)

    def _check_input(self) -> None:
        wanted = self.network.model.mlp.kernels[0].shape[0]
        student = self._new_student()
        found = student.mlp.kernels[0].shape[0] if hasattr(student, "mlp") else None
        if found != wanted:
            problem = f"`into` must be a network with one tower that takes the teacher's input of {wanted} numbers."
            got = student.config.name + (", which has none" if found is None else f", which takes {found}")
            raise ConfigError(f"{problem} Got {got}. {self.network.model.config.name} does.", path="into")

    def _merged(self, tower: MoeTower) -> list[tuple[tf.Variable | Floats, tf.Variable | Floats | None]]:
        """Kernel and bias of one layer for each of the teacher's."""
        first, last = ((layer.kernel, layer.bias) for layer in tower.affines)
        merged = [
            merge_experts(mixture.expert_kernels().numpy(), mixture.expert_biases().numpy(), gates)
            for mixture, gates in zip(tower.by_depth, self.mean_gates(), strict=True)
        ]
        return [first, *merged, last]

    def mean_gates(self) -> list[Floats]:
        """Of each depth, over the first rows of the training split: (E,)."""
        batch = next(batches(self._dataset, "train", CPU_MICRO_BATCH_ROWS))
        network = self.network
        with network.model.watched(is_training=False) as seen:
            network.model.logits(network.look_up(tf.constant(batch.ids)), tf.constant(batch.numbers))
        return [gates.numpy() for gates in seen.gates]


def _dense(model: ModelConfig, into: str) -> ModelConfig:
    """The network of this name with a plain tower of the same widths, whose layers end alike."""
    if into not in MODEL_NAMES:
        raise unknown_name("model", into, MODEL_NAMES, path="into")
    tower = model.tower
    plain = MlpSettings(activation=tower.activation, dropout=tower.dropout, norm=tower.norm)
    if into == model.name:
        return model.model_copy(update={"tower": plain})
    return ModelConfig(name=into, embedding_dim=model.embedding_dim, hidden=model.hidden, tower=plain)


def _around(model: CtrModel) -> list[tf.Variable]:
    """The weights outside the tower."""
    inside = {id(variable) for variable in model.mlp.weights}
    return [variable for variable in model.dense_variables if id(variable) not in inside]


def _copy(old: list[tf.Variable], new: list[tf.Variable]) -> None:
    for source, target in zip(old, new, strict=True):
        target.assign(source)
