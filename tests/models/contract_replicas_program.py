"""Every network on two replicas, as a program of its own: logical devices must be configured before TensorFlow starts.

python -m tests.models.contract_replicas_program OUT CLICKS SHOP   # datasets of one label and of two

Writes OUT/CASE.npz: the state after the first half of the run of a case. XLA compiles nothing here: the runs that these
steps are compared with are compiled, and so are the replicas of tests/test_replicas.py.
"""

import sys
from pathlib import Path

import tests.models.uncompiled  # noqa: F401 (before what it changes)

# isort: split
import numpy as np
import tensorflow as tf

from ctrfast.data.shards import Dataset
from ctrfast.loop.epoch_batches import epoch_batches
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.replicas import Replicas
from tests.models.contract_cases import ALIKE_ON_REPLICAS, BATCH, STEPS, config_of, labels_of


def after_steps(case, dataset, devices):
    """Each variable and moment by name."""
    config = config_of(case)
    plan = make_plan(config, dataset.fitted.schema_.name)
    replicas = Replicas(
        lambda: Network(config.model, dataset.fitted, seed=config.seed, embedding_init_std=plan.embedding_init_std),
        [row for _, row in dataset.fitted.row_ranges],
        StepSettings.of(plan, steps_per_epoch=STEPS, epochs=1),
        devices,
        batch_size=BATCH,
        row_sums="sparse",
    )
    batches = epoch_batches(dataset, config, 0)
    for _ in range(STEPS // 2):
        batch = next(batches)
        replicas.step(batch.ids, batch.numbers, batch.labels)
    batches.close()
    state = {name: np.asarray(value).copy() for name, value in replicas.state().items()}
    replicas.close()
    return state


def main(out, *data):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    datasets = {labels: Dataset.open(path) for labels, path in zip((1, 2), data, strict=True)}
    for case in ALIKE_ON_REPLICAS:
        np.savez(out / f"{case}.npz", **after_steps(case, datasets[len(labels_of(case))], names))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
