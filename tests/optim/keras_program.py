"""A plain functional Keras model and its clicks; as a program, trains it on two replicas and saves its weights.

    python -m tests.optim.keras_program OUT.npz

A program of its own, because logical devices must be configured before TensorFlow starts.
"""

import sys
from pathlib import Path

import ctrfast  # noqa: F401 (before TensorFlow: it selects Keras 2)

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.optim import CowClip

SIZES, D, N, HIDDEN = (7, 60), 4, 3, (8,)
ROWS, BATCH, EPOCHS = 424, 96, 3  # the last batch is a short one
SETTINGS = {"l2": 1e-3, "clip_ratio": 1e-3, "bound": 1e-2, "warmup_steps": 7}
RATES = {"learning_rate": 2e-3, "embedding_learning_rate": 1e-3}


def cowclip(**values):
    return CowClip(**RATES | SETTINGS | values)


def network(embeddings_regularizer=None):
    """Wide & deep: the model, and its layers in the order of the oracle's weights."""
    layers = keras.layers
    fields = [layers.Input((1,), dtype=tf.int32) for _ in SIZES]
    numbers = layers.Input((N,))
    seeds = iter(range(100))

    def normal():
        return keras.initializers.RandomNormal(stddev=0.1, seed=next(seeds))

    tables = [
        layers.Embedding(size, D, embeddings_initializer=normal(), embeddings_regularizer=embeddings_regularizer)
        for size in SIZES
    ]
    linears = [layers.Embedding(size, 1, embeddings_initializer=normal()) for size in SIZES]
    of_numbers = layers.Dense(1, kernel_initializer=normal(), kernel_regularizer=keras.regularizers.L2(SETTINGS["l2"]))
    mlp = [layers.Dense(width, "relu", kernel_initializer=normal()) for width in HIDDEN]
    mlp.append(layers.Dense(1, kernel_initializer=normal()))
    flat = layers.Flatten()
    x = layers.Concatenate()([*(flat(table(field)) for table, field in zip(tables, fields, strict=True)), numbers])
    for layer in mlp:
        x = layer(x)
    first_order = [flat(linear(field)) for linear, field in zip(linears, fields, strict=True)]
    out = layers.Activation("sigmoid")(layers.Add()([*first_order, of_numbers(numbers), x]))
    return keras.Model([*fields, numbers], out), tables, linears, [of_numbers, *mlp]


def clicks():
    """Ids (R, F) int32, rare and frequent ones; numbers (R, N); labels (R,), mostly as the first field's id says."""
    rng = np.random.default_rng(6)
    ids = (rng.random((ROWS, len(SIZES))) ** 3 * SIZES).astype(np.int32)
    numbers = rng.normal(size=(ROWS, N)).astype(np.float32)
    return ids, numbers, (rng.random(ROWS) < np.where(ids[:, 0] % 2, 0.8, 0.1)).astype(np.float32)


def fit(model, **values):
    ids, numbers, labels = clicks()
    features = [*(ids[:, f : f + 1] for f in range(len(SIZES))), numbers]
    return model.fit(features, labels[:, None], batch_size=BATCH, shuffle=False, verbose=0, **values)


def weights(tables, linears, dense):
    """Tables (V, D+1) and dense weights, as the oracle has them."""
    pairs = zip(tables, linears, strict=True)
    joined = [np.c_[table.get_weights()[0], linear.get_weights()[0]] for table, linear in pairs]
    return joined, [weight for layer in dense for weight in layer.get_weights()]


def main(out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    if strategy.num_replicas_in_sync != 2:
        sys.exit("two replicas must be there")
    with strategy.scope():
        model, *layers = network()
        model.compile(cowclip(), "binary_crossentropy")
        refused, *_ = network(embeddings_regularizer="l2")
        refused.compile(cowclip(), "binary_crossentropy")
    fit(model, epochs=EPOCHS)
    tables, dense = weights(*layers)
    np.savez(out, *tables, *dense)
    try:
        fit(refused)
    except ConfigError as error:
        sys.stdout.write(error.message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
