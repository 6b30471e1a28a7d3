"""Training speed: our step beside a plain Keras DeepFM that does the same arithmetic. Run by `make bench-train`.

The peer is written as the method is usually written: one embedding layer and one linear layer per field, one clip and
one dense Adam update per table, all in a `tf.function`. Both start from the same weights and see the same batches, and
the losses are compared, so that the two figures stand for the same work.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import ctrfast  # noqa: I001  (selects Keras 2 before TensorFlow is imported)
import numpy as np
import tensorflow as tf
import tf_keras as keras

from ctrfast.config import ModelConfig
from ctrfast.models import build_model
from ctrfast.optim.cowclip_adam import CowClipAdam, StepSettings
from ctrfast.step import TrainStep

FIELDS, NUMBERS, WIDTH = 26, 13, 10
SETTINGS = StepSettings(lr_dense=1e-3, lr_embed=1e-4, l2=1e-5, clip_ratio=1.0, bound=1e-5, warmup_steps=1)


def make_batches(sizes, batch_size, count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        skew = rng.random((batch_size, len(sizes))) ** 4  # few frequent ids, many rare ones
        ids = np.floor(skew * np.asarray(sizes)).astype(np.int32)
        numbers = rng.standard_normal((batch_size, NUMBERS), np.float32)
        labels = (rng.random(batch_size) < 0.25).astype(np.float32)
        made.append((ids, numbers, labels))
    return made


def our_step(sizes, batch_size, start):
    offsets = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int32)
    model = build_model(ModelConfig(), id_fields=FIELDS, numeric_fields=NUMBERS, seed=1)
    table = tf.Variable(np.concatenate((start, np.zeros((len(start), 1), np.float32)), axis=1))
    optimizer = CowClipAdam(SETTINGS, table, offsets.tolist(), model.linear_variables, model.deep_variables)
    step = TrainStep(model, optimizer, batch_size)
    dense = [variable.numpy() for variable in model.dense_variables]
    return lambda ids, numbers, labels: step(ids + offsets, numbers, labels)[0], dense


def keras_step(sizes, start, dense):
    """One embedding layer per field; per table: IndexedSlices -> dense gradient, L2, clip, Adam."""
    embeddings = [keras.layers.Embedding(size, WIDTH) for size in sizes]
    firsts = [keras.layers.Embedding(size, 1, embeddings_initializer="zeros") for size in sizes]
    hidden_layers = [keras.layers.Dense(kernel.shape[1], "relu") for kernel in dense[2:-2:2]]
    output_layer = keras.layers.Dense(1)
    for layer in (*embeddings, *firsts):
        layer.build(())
    for layer, kernel, offset in zip([*hidden_layers, output_layer], dense[2::2], dense[3::2], strict=True):
        layer.build((None, len(kernel)))
        layer.set_weights([kernel, offset])
    for layer, rows in zip(embeddings, np.split(start, np.cumsum(sizes)[:-1]), strict=True):
        layer.set_weights([rows])
    of_numbers, bias = (tf.Variable(value) for value in dense[:2])
    tables, linears = ([layer.embeddings for layer in layers] for layers in (embeddings, firsts))
    mlp = [weight for layer in (*hidden_layers, output_layer) for weight in layer.trainable_weights]
    embed_adam = keras.optimizers.Adam(SETTINGS.lr_embed, epsilon=1e-7)
    dense_adam = keras.optimizers.Adam(SETTINGS.lr_dense, epsilon=1e-7)

    def logits(ids, numbers):
        columns = [layer(ids[:, f]) for f, layer in enumerate(embeddings)]
        first = tf.add_n([layer(ids[:, f])[:, 0] for f, layer in enumerate(firsts)])
        stacked = tf.stack(columns, axis=1)
        pairs = 0.5 * tf.reduce_sum(tf.reduce_sum(stacked, 1) ** 2 - tf.reduce_sum(stacked**2, 1), axis=1)
        hidden = tf.concat([*columns, numbers], axis=1)
        for layer in hidden_layers:
            hidden = layer(hidden)
        deep = output_layer(hidden)[:, 0]
        return first + (numbers @ of_numbers)[:, 0] + bias + pairs + deep

    def clip(gradient, rows, ids):
        unique, _, counts = tf.unique_with_counts(ids)
        counts = tf.maximum(tf.scatter_nd(unique[:, None], tf.cast(counts, tf.float32), (rows.shape[0],)), 1.0)
        norm = tf.norm(gradient, axis=1)
        limit = counts * SETTINGS.clip_ratio * tf.maximum(tf.norm(rows, axis=1), math.sqrt(WIDTH) * SETTINGS.bound)
        return gradient * tf.minimum(1.0, tf.math.divide_no_nan(limit, norm))[:, None]

    @tf.function
    def step(ids, numbers, labels):
        weights = [*tables, *linears, of_numbers, bias, *mlp]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits(ids, numbers)))
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
        regular = 2 * len(tables) + 1
        gradients[:regular] = [g + 2 * SETTINGS.l2 * w for g, w in zip(gradients[:regular], weights, strict=False)]
        for f, table in enumerate(tables):
            gradients[f] = clip(gradients[f], table, ids[:, f])
        split = 2 * len(tables)
        embed_adam.apply_gradients(zip(gradients[:split], weights[:split], strict=True))
        dense_adam.apply_gradients(zip(gradients[split:], weights[split:], strict=True))
        return loss

    return step


def timed(step, batches):
    started = time.perf_counter()
    losses = [float(step(*batch)) for batch in batches]
    return (time.perf_counter() - started) / len(batches), losses


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    sizes = [arguments.ids // FIELDS] * FIELDS
    start = np.random.default_rng(7).standard_normal((sum(sizes), WIDTH), np.float32) * np.float32(1e-2)
    print(
        f"DeepFM {FIELDS}x{WIDTH} + {NUMBERS} numbers, MLP 3x400, {sum(sizes):,} ids; exact dense CowClip + L2 + Adam"
    )
    print(f"{os.cpu_count()} cores, {platform.machine()}, tensorflow {tf.__version__}, ctrfast {ctrfast.__version__}")
    print(
        f"{'batch':>7} {'ctrfast':>10} {'plain Keras':>12} {'ratio':>6}   samples/s, medians; largest loss difference"
    )
    for batch_size in arguments.batch_size or [8192]:
        batches = make_batches(sizes, batch_size, 3)
        ours, dense = our_step(sizes, batch_size, start)
        theirs = keras_step(sizes, start, dense)
        difference = np.max(np.abs(np.subtract(timed(ours, batches)[1], timed(theirs, batches)[1])))
        seconds = {name: [] for name in ("ours", "theirs")}
        for _ in range(arguments.rounds):  # in turns, so that a noisy minute meets both
            seconds["ours"].append(timed(ours, batches)[0])
            seconds["theirs"].append(timed(theirs, batches)[0])
        speed = {name: batch_size / np.median(values) for name, values in seconds.items()}
        print(
            f"{batch_size:>7,} {speed['ours']:>10,.0f} {speed['theirs']:>12,.0f} "
            f"{speed['ours'] / speed['theirs']:>5.1f}x   {difference:.1e}"
        )


if __name__ == "__main__":
    main()
