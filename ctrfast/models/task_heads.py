"""What gives each of T tasks its logit: a bottom or experts that tasks share, and layers of each task's own.

shared bottom   z_t = f(x)
MMoE            z_t = sum over experts i of softmax(x G_t)_i f_i(x)
PLE             z_t^l = sum over experts i of task t and of all tasks, of softmax(z_t^{l-1} G_t^l)_i f_i(its input)

logit_t = MLP_t(z_t). f and f_i are towers of the network's widths without a last layer.

At PLE's level l an expert of task t sees z_t^{l-1}, and one of all tasks z_s^{l-1}, which its own gate makes of all
experts of the level before; z_t^0 = z_s^0 = x, and the last level has no z_s.

Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD,
doi 10.1145/3219819.3220007, Eq. 1 and 6-8; Tang et al. 2020, "Progressive Layered Extraction (PLE)", RecSys,
doi 10.1145/3383313.3412236, Eq. 1-6.
Differs from the sources: experts may be any tower, of several layers; what a network has beside its tower enters each
logit, times a weight of the task's (`CtrModel.join_logits`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.mlp import Mlp
from ctrfast.models.tower import Affine, Tower
from ctrfast.models.towers import make_tower
from ctrfast.task_config import MmoeSettings, PleSettings, TaskSettings
from ctrfast.tower_config import MlpSettings, TowerSettings

MakeExpert = Callable[[int, str], Tower]
NextSeed = Callable[[], int]


class TaskHeads(keras.layers.Layer):  # type: ignore[misc]
    """(B, H0) of any float type -> logits (B, T) float32.

    Args:
        settings: say which heads.
        tower: of bottom and experts; how hidden layers end holds for the tasks' own, too.
        width: of the input, H0.
        hidden: widths of bottom and experts, one at least.
        tasks: T.
        next_seed: gives a seed for one more layer.
    """

    def __init__(
        self,
        settings: TaskSettings,
        tower: TowerSettings,
        width: int,
        hidden: Sequence[int],
        tasks: int,
        next_seed: NextSeed,
    ) -> None:
        super().__init__(name="heads", autocast=False)

        def expert(inward: int, name: str) -> Tower:
            return make_tower(tower, inward, hidden, next_seed, outputs=0, name=name)

        self.levels: list[Level] = []
        if isinstance(settings, MmoeSettings):
            self.levels.append(Level(width, 0, settings.experts, tasks, expert, next_seed, "mmoe", is_last=True))
        elif isinstance(settings, PleSettings):
            own, shared, last = settings.experts, settings.shared_experts, settings.levels - 1
            for n in range(settings.levels):
                inward = hidden[-1] if n else width
                self.levels.append(Level(inward, own, shared, tasks, expert, next_seed, f"ple_{n}", is_last=n == last))
        self.bottom = None if self.levels else expert(width, "bottom")
        ends = MlpSettings(activation=tower.activation, dropout=tower.dropout, norm=tower.norm)
        self.of_tasks = [
            Mlp(hidden[-1], settings.hidden, next_seed, settings=ends, name=f"task_{task}") for task in range(tasks)
        ]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs (B, H0) -> (B, T)."""
        start = inputs if self.bottom is None else self.bottom(inputs)
        by_task, shared = [start] * len(self.of_tasks), start
        for level in self.levels:
            by_task, shared = level(by_task, shared)  # T of (B, H), (B, H)
        logits = [tower(each) for tower, each in zip(self.of_tasks, by_task, strict=True)]
        return tf.stack(logits, axis=1)  # (B, T)


class Level(keras.layers.Layer):  # type: ignore[misc]
    """Experts of each task and of all tasks, and a gate for each task and, before a further level, for all.

    Gates compute in float32, whatever the input's type.

    Args:
        width: of the inputs, H'.
        own: experts of each task.
        shared: experts of all tasks.
        tasks: T.
        make_expert: by width of its input and name.
        next_seed: gives a seed for one more layer.
        name: of the layer.
        is_last: no level follows.
    """

    def __init__(
        self,
        width: int,
        own: int,
        shared: int,
        tasks: int,
        make_expert: MakeExpert,
        next_seed: NextSeed,
        name: str,
        *,
        is_last: bool,
    ) -> None:
        super().__init__(name=name, autocast=False)
        self._own = own
        self.experts = [make_expert(width, f"expert_{task}_{n}") for task in range(tasks) for n in range(own)]
        self.shared_experts = [make_expert(width, f"shared_expert_{n}") for n in range(shared)]
        self.gates = [Affine(width, own + shared, next_seed(), f"gate_{task}", has_bias=False) for task in range(tasks)]
        all_experts = len(self.experts) + shared
        self.shared_gate = None if is_last else Affine(width, all_experts, next_seed(), "shared_gate", has_bias=False)

    def call(self, by_task: Sequence[tf.Tensor], shared: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """What each task sees, T of (B, H'), and all tasks (B, H') -> the same with (B, H)."""
        own = [expert(by_task[place // self._own]) for place, expert in enumerate(self.experts)]
        of_all = [expert(shared) for expert in self.shared_experts]
        mixed = [
            _mixed(gate, each, [*own[task * self._own : (task + 1) * self._own], *of_all])
            for task, (gate, each) in enumerate(zip(self.gates, by_task, strict=True))
        ]
        return mixed, shared if self.shared_gate is None else _mixed(self.shared_gate, shared, [*own, *of_all])


def _mixed(gate: Affine, inputs: tf.Tensor, outputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The outputs of E experts, (B, H) each, weighed by a gate on inputs (B, H') -> (B, H) of their type."""
    weights = tf.nn.softmax(gate(tf.cast(inputs, tf.float32)))  # (B, E)
    parts = [weights[:, n : n + 1] * tf.cast(each, tf.float32) for n, each in enumerate(outputs)]
    return tf.cast(tf.add_n(parts), inputs.dtype)
