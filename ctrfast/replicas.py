"""Replicas: copies of a network and its optimizer, one per device, that take each step together.

Each replica computes the gradients of its share of the batch. Their row sums and counts, and the dense gradients, are
added up over the replicas **before** the clip, so that N replicas at batch B/N take the step of one at B. Every replica
then applies the same sums to its own copy. Row sums are exchanged in one of two forms (`ctrfast.row_sums` chooses):
those of all rows, (V, D+2), in an all-reduce, or lists of the rows that each replica has touched, (U, D+3), which all
of them gather and add up.

    replicas = Replicas(make_network, starts, settings, choose_devices(config.replicas), batch_size=8192)
    loss, present, clipped = replicas.step(batch.ids, batch.numbers, batch.labels)

Workers of a cluster do the same across processes: each has replicas on its own devices and its own share of the rows.

Source: TensorFlow's `MirroredStrategy` and `MultiWorkerMirroredStrategy`, whose all-reduce this uses.
Differs from them: each replica's variables are its own, not mirrored ones, so that the update is one compiled function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ctrfast.config import TrainConfig
from ctrfast.errors import ConfigError
from ctrfast.expert_tally import NAME as EXPERTS
from ctrfast.expert_tally import expert_figures
from ctrfast.gpus import set_up_gpus
from ctrfast.gradients import known_labels, task_weights
from ctrfast.network import Network
from ctrfast.optim.step_settings import StepSettings
from ctrfast.row_step import RowStep
from ctrfast.row_sums import RowSumsForm
from ctrfast.step import Execution, make_step
from ctrfast.table_step import TableStep
from ctrfast.traced import traced
from ctrfast.workers import ALONE, Workers

Step = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Floats: TypeAlias = npt.NDArray[np.float32]
State: TypeAlias = tf.Variable | Floats

_WISHES = 2  # to stop, to save


def choose_devices(replicas: int | None) -> list[str]:
    """Names of the devices to train on: so many GPUs, or CPUs where there is no GPU; not set: all GPUs, or one CPU.

    Raises:
        ConfigError: there are fewer devices.
    """
    set_up_gpus()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    wanted = replicas or (len(names) if kind == "GPU" else 1)
    if wanted > len(names):
        problem = f"`replicas` must be at most this machine's {len(names)} {kind} devices. Got replicas={wanted}."
        raise ConfigError(f"{problem} Leave it out to use what there is.", path="replicas")
    return names[:wanted]


def check_replicas(config: TrainConfig, replicas: int) -> None:
    """Refuse a batch that so many replicas cannot share.

    Raises:
        ConfigError: it does not divide.
    """
    if config.batch_size % replicas:
        raise ConfigError(
            f"`batch_size` must be a multiple of the {replicas} replicas. Got batch_size={config.batch_size}. "
            "Choose another, or set replicas.",
            path="batch_size",
        )


class Replicas:
    """The replicas of a run; one of them where there is one device.

    Args:
        make: builds a network, the same at each call, on the device that is current.
        starts: first row of each id table.
        settings: of the update.
        devices: one per replica of this process.
        batch_size: B, rows of a step over all replicas of all workers.
        execution: how a replica runs its share; by default the fastest for the device.
        precision: of the MLP's products.
        workers: processes that share each batch; `step` takes this one's rows.
        row_sums: the form in which several replicas exchange the sums of their row gradients.
    """

    def __init__(
        self,
        make: Callable[[], Network],
        starts: Sequence[int],
        settings: StepSettings,
        devices: Sequence[str],
        *,
        batch_size: int,
        execution: Execution | None = None,
        precision: str = "float32",
        workers: Workers = ALONE,
        row_sums: RowSumsForm = "dense",
    ) -> None:
        self.devices = devices
        self._row_sums = row_sums
        self._wishes: Floats = np.zeros(_WISHES, np.float32)
        self._heard: Floats | tf.Tensor = self._wishes
        self._workers, replicas = workers, workers.size * len(devices)
        self._steps: list[RowStep | TableStep] = []
        self._networks: list[Network] = []
        for device in devices:
            with tf.device(device):
                network = make()
                step = make_step(
                    network.model,
                    network.table,
                    starts,
                    settings,
                    batch_size=batch_size,
                    execution=execution,
                    precision=precision,
                    replicas=replicas,
                    pooling=network.pooling,
                )
            self._networks.append(network)
            self._steps.append(step)
        self.network = self._networks[0]
        self.step: Callable[..., Step] = self._steps[0]
        if replicas > 1:
            self._strategy = workers.strategy or _mirrored(tuple(devices))
            self._run = traced(lambda *parts: self._strategy.run(self._on_replica, args=parts))
            self.step = self._together

    def step_of_rows(self, words: tf.Tensor, rows: npt.NDArray[np.int32]) -> Step:
        """One step of the only replica on rows (B,) of a split in its device's memory (`ctrfast.feed`)."""
        return self._table_step(0).of_rows(words, rows)

    def agreed(self, stop: bool, save: bool) -> tuple[bool, bool]:
        """What the workers agree on before a step: alone what is asked for; else what any asked for before the last.

        It travels with the sums of a step, so that all workers stop or save after the same one.
        """
        if self._workers.size == 1:
            return stop, save
        heard_stop, heard_save = (bool(wish) for wish in np.asarray(self._heard))
        self._wishes = np.array([stop, save and not heard_save], np.float32)  # what was heard is done in this step
        return heard_stop, heard_save

    def settle(self) -> None:
        """Bring the network's table up to date, where the steps left it behind."""
        self._steps[0].optimizer.settle()

    def state(self) -> Mapping[str, State]:
        """Everything that a checkpoint holds, by name; equal in all replicas, but for what networks keep of their rows.

        The averages of batch norms are then those of the first replica, with whose network all predictions are made;
        so is how experts were used since the last record.
        """
        return {**self._steps[0].optimizer.state(), **_kept(self.network, self._steps[0])}

    def restore(self, restore: Callable[[Mapping[str, State]], None]) -> None:
        """Set the state of each replica by `restore`, as `Checkpoint.restore`."""
        for step, network in zip(self._steps, self._networks, strict=True):
            step.optimizer.restore(partial(_restore_all, restore, _kept(network, step)))

    def reduce_rate(self, factor: float) -> None:
        """Multiply all rates by `factor` from the next step on."""
        for step in self._steps:
            step.optimizer.reduce_rate(factor)

    def expert_figures(self) -> dict[str, Any]:
        """How experts were used since the last call, over the rows of all workers; empty without mixtures.

        All workers call it at the same step.
        """
        taken = [step.experts.take() for step in self._steps if step.experts is not None]
        if not taken:
            return {}
        own = np.sum(taken, axis=0)  # (M, E+2)
        return expert_figures(self._workers.join(own.ravel()).reshape(-1, *own.shape).sum(axis=0))

    def close(self) -> None:
        """Free the tables that lie beside the networks; no step may follow."""
        for step in self._steps:
            if isinstance(step, RowStep):
                step.close()

    def _together(
        self, ids: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
    ) -> Step:
        """One step of all replicas on this process's rows, cut in equal parts."""
        wishes = np.repeat(self._wishes[np.newaxis], len(self._steps), axis=0)
        parts = [self._shares(array) for array in (ids, numbers, labels, wishes)]
        results = [self._strategy.experimental_local_results(each)[0] for each in self._run(*parts)]
        loss, present, clipped, self._heard = results
        return loss, present, clipped

    def _shares(self, array: npt.NDArray[np.generic]) -> tf.distribute.DistributedValues:
        cut = np.split(array, len(self._steps))
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(cut[context.replica_id_in_sync_group % len(cut)])
        )

    def _on_replica(
        self, ids: tf.Tensor, numbers: tf.Tensor, labels: tf.Tensor, wishes: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        context = tf.distribute.get_replica_context()
        index = int(tf.get_static_value(context.replica_id_in_sync_group))  # traced once per replica
        step = self._table_step(index % len(self._steps))
        loss, rows, dense = step.gradients(ids, numbers, labels, _weights(context, labels))
        own = [loss, wishes[0], *dense]
        if self._row_sums == "sparse":
            loss, heard, *dense = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
            lists = context.all_gather(step.optimizer.list_sums(ids, rows), axis=0)  # (L, D+3)
            most = ids.shape.num_elements() * context.num_replicas_in_sync
            present, clipped = step.optimizer.apply_lists(lists, dense, most)
        else:
            own.append(step.optimizer.sum_rows(ids, rows))
            loss, heard, *dense, sums = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
            present, clipped = step.optimizer.apply_sums(sums, dense)
        return loss, present, clipped, heard

    def _table_step(self, index: int) -> TableStep:
        step = self._steps[index]
        if not isinstance(step, TableStep):
            raise TypeError(f"Replicas, and rows in a device's memory, take TableSteps. Got {type(step).__name__}.")
        return step


def _weights(context: tf.distribute.ReplicaContext, labels: tf.Tensor) -> tf.Tensor | None:
    """What a label of each task counts, by those that are known in the shares of all replicas; none of one task."""
    if labels.shape.rank == 1:
        return None
    return task_weights(context.all_reduce(tf.distribute.ReduceOp.SUM, known_labels(labels)))


def _kept(network: Network, step: RowStep | TableStep) -> dict[str, State]:
    """What a checkpoint holds beside the optimizer's state."""
    experts = {} if step.experts is None else {EXPERTS: step.experts.sums}
    return {**network.kept(), **experts}


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One for all runs of a process: each numbers its exchanges from the start, and those of another collide."""
    return tf.distribute.MirroredStrategy(devices)


def _restore_all(
    restore: Callable[[Mapping[str, State]], None], kept: Mapping[str, State], state: Mapping[str, State]
) -> None:
    restore({**state, **kept})
