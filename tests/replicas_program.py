"""Two replicas beside one, as a program of its own: logical devices must be configured before TensorFlow starts.

python -m tests.replicas_program DATASET OUT               # trains OUT/one and OUT/two, prints what is refused
python -m tests.replicas_program DATASET OUT SETTINGS      # the same with other settings, as JSON
"""

import json
import sys
from pathlib import Path

import ctrfast  # noqa: F401 (before TensorFlow: it selects Keras 2)

# isort: split
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.train import train

SETTINGS = {"batch_size": 96, "epochs": 2, "model": {"embedding_dim": 4, "hidden": [16, 8]}, "optimizer": {"l2": 1e-3}}


def main(data, out, settings):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    dataset = Dataset.open(data)
    train(dataset, parse_config(settings), out / "one")
    train(dataset, parse_config({**settings, "replicas": 2}), out / "two")
    try:
        train(dataset, parse_config({**settings, "replicas": 3}), out / "none")
    except ConfigError as error:
        sys.stdout.write(f"{error.path} {error.message}\n")


if __name__ == "__main__":
    data, out, *given = sys.argv[1:]
    main(Path(data), Path(out), json.loads(given[0]) if given else SETTINGS)
