"""CowClip the way its authors published it: a DeepCTR network with a Keras `train_step` of its own.

One embedding table and one linear table per field, L2 as a term of the loss (so every gradient is dense), then per
embedding table: counts by `tf.unique_with_counts`, a limit per row, a clip by row norm; two Adams. Written from the
description of the method (arXiv:2204.06240, Algorithm 1, and the limit that the published code computes); its
arithmetic is that of `update: dense`, and the losses of the first steps are compared to show it.
"""

from __future__ import annotations

import tensorflow as tf

from bench.peers.deepctr_model import ID_NAMES, NUMBER_NAMES, arguments, build_deepfm, endless, inputs
from bench.turns import Turns, answering
from bench.workload import (
    BOUND,
    CHECKED_STEPS,
    CLIP_RATIO,
    EPSILON,
    L2,
    LR_DENSE,
    LR_EMBED,
    WIDTH,
    Rows,
    offsets,
    start_kernels,
    start_table,
)

keras = tf.keras


class CowClipModel(keras.Model):
    """A DeepCTR network that is trained with CowClip; `compile` it with the two optimizers."""

    def compile(self, embed_optimizer, dense_optimizer):
        super().compile()
        self.embed_optimizer, self.dense_optimizer = embed_optimizer, dense_optimizer
        self.tables = [self.get_layer(f"sparse_emb_{name}").embeddings for name in ID_NAMES]
        linear = [self.get_layer(f"linear0sparse_emb_{name}").embeddings for name in ID_NAMES]
        self.embed_weights = [*self.tables, *linear]
        refs = {weight.ref() for weight in self.embed_weights}
        self.dense_weights = [weight for weight in self.trainable_weights if weight.ref() not in refs]

    def train_step(self, data):
        features, labels = data
        with tf.GradientTape() as tape:
            probabilities = self(features, training=True)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(labels, probabilities))
            total = loss + tf.add_n(self.losses)
        gradients = tape.gradient(total, [*self.embed_weights, *self.dense_weights])
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        split = len(self.embed_weights)
        for index, (name, table) in enumerate(zip(ID_NAMES, self.tables, strict=True)):
            gradients[index] = clip(gradients[index], table, tf.reshape(features[name], [-1]))
        self.embed_optimizer.apply_gradients(zip(gradients[:split], self.embed_weights, strict=True))
        self.dense_optimizer.apply_gradients(zip(gradients[split:], self.dense_weights, strict=True))
        return {"loss": loss}


def clip(gradient: tf.Tensor, table: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """A table's gradient (V, D), each row within max(count, 1) * ratio * max(||row||, ratio * sqrt(D) * bound)."""
    unique, _, counts = tf.unique_with_counts(ids)
    counts = tf.scatter_nd(unique[:, tf.newaxis], tf.cast(counts, tf.float32), (table.shape[0],))  # (V,)
    floor = CLIP_RATIO * WIDTH**0.5 * BOUND
    limit = tf.maximum(counts, 1.0) * CLIP_RATIO * tf.maximum(tf.norm(table, axis=1), floor)  # (V,)
    factor = tf.minimum(1.0, tf.math.divide_no_nan(limit, tf.norm(gradient, axis=1)))  # (V,)
    return gradient * factor[:, tf.newaxis]


def set_start(model: CowClipModel, sizes: list[int]) -> None:
    """The workload's common start, in place of the network's own."""
    table = start_table(sizes)
    for variable, start, size in zip(model.tables, offsets(sizes), sizes, strict=True):
        variable.assign(table[start : start + size])
    for variable in [*model.embed_weights[len(sizes) :], *model.dense_weights]:
        variable.assign(tf.zeros_like(variable))
    linear_kernel = (len(NUMBER_NAMES), 1)
    kernels = [v for v in model.dense_weights if v.shape.rank == 2 and tuple(v.shape) != linear_kernel]
    for variable, kernel in zip(kernels, start_kernels(), strict=True):
        variable.assign(kernel)


def first_losses(model: CowClipModel, rows: Rows, batch_size: int) -> list[float]:
    step = tf.function(lambda features, labels: model.train_step((features, labels))["loss"])
    return [float(step(*inputs(rows.batch(index, batch_size)))) for index in range(CHECKED_STEPS)]


def main(turns: Turns) -> None:
    rows, batch_size, sizes = arguments()
    deepfm = build_deepfm(sizes, l2=L2)
    model = CowClipModel(deepfm.inputs, deepfm.outputs)
    # The optimizer of the TensorFlow that the method was published on: one fused operation per table.
    adam = keras.optimizers.legacy.Adam
    model.compile(adam(LR_EMBED, epsilon=EPSILON), adam(LR_DENSE, epsilon=EPSILON))
    set_start(model, sizes)
    losses = first_losses(model, rows, batch_size)
    train_function = model.make_train_function()
    source = endless(rows, batch_size)
    turns.serve(lambda: train_function(source), {"first_losses": losses})


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
