"""Three replicas that exchange their row sums in both forms, beside one, as a program of its own.

python -m tests.row_sums_program DATASET OUT      # writes OUT/UPDATE-FORM.npz: state after 20 steps, their figures

Logical devices must be configured before TensorFlow starts.
"""

import sys
from pathlib import Path

import ctrfast  # noqa: F401 (before TensorFlow: it selects Keras 2)

# isort: split
import numpy as np
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.data.row_groups import Part
from ctrfast.data.shards import Dataset
from ctrfast.loop.epoch_batches import epoch_batches
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.replicas import Replicas

STEPS, REPLICAS = 20, 3
SETTINGS = {"batch_size": 96, "model": {"embedding_dim": 4, "hidden": [16, 8]}}
OPTIMIZER = {"l2": 1e-3, "clip_ratio": 0.01}  # so low that rows are clipped
FORMS = {"one": (1, "dense"), "dense": (REPLICAS, "dense"), "sparse": (REPLICAS, "sparse")}


def steps(dataset, config, devices, form):
    plan = make_plan(config, dataset.fitted.schema_.name)
    replicas = Replicas(
        lambda: Network(config.model, dataset.fitted, seed=1, embedding_init_std=plan.embedding_init_std),
        [row for _, row in dataset.fitted.row_ranges],
        StepSettings.of(plan, steps_per_epoch=STEPS, epochs=1),
        devices,
        batch_size=config.batch_size,
        row_sums=form,
    )
    batches, figures = epoch_batches(dataset, config, 0, Part(0, 1)), []
    for _ in range(STEPS):
        batch = next(batches)
        loss, present, clipped = replicas.step(batch.ids, batch.numbers, batch.labels)
        figures.append([float(loss), *np.asarray(present), *np.asarray(clipped)])
    batches.close()
    state = {name: np.asarray(value).copy() for name, value in replicas.state().items()}
    replicas.close()
    return {**state, "figures": np.array(figures)}


def main(data, out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * REPLICAS)
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    dataset = Dataset.open(data)
    for update in ("dense", "sparse"):
        config = parse_config({**SETTINGS, "optimizer": {**OPTIMIZER, "update": update}})
        for name, (devices, form) in FORMS.items():
            np.savez(out / f"{update}-{name}.npz", **steps(dataset, config, names[:devices], form))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
