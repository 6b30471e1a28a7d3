"""The parts that CTR networks are made of: the linear part, FM pairs, the joined input of a deep part, the MLP."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras


def split_rows(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Table rows (B, F, D+1) -> embeddings (B, F, D) and linear weights (B, F)."""
    return rows[:, :, :-1], rows[:, :, -1]


def factorization_pairs(embeddings: tf.Tensor) -> tf.Tensor:
    """Sum over pairs i < j of <e_i, e_j>, in linear time: embeddings (B, F, D) -> (B,).

    Source: Rendle 2010, Factorization Machines, Eq. 3 (Lemma 3.1).
    """
    total = tf.reduce_sum(embeddings, axis=1)  # (B, D)
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)  # (B, D)
    return 0.5 * tf.reduce_sum(tf.square(total) - squares, axis=1)  # (B,)


def join(embeddings: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """The deep part's input: embeddings (B, F, D) and numbers (B, N) -> (B, F*D + N)."""
    fields, width = embeddings.shape[1], embeddings.shape[2]
    flat = tf.reshape(embeddings, (-1, fields * width))  # (B, F*D)
    return tf.concat((flat, numbers), axis=1)  # (B, F*D + N)


class Linear(keras.layers.Layer):  # type: ignore[misc]
    """First-order part: the linear weights of the ids, plus numbers @ w, plus a bias. (B, F), (B, N) -> (B,)."""

    def __init__(self, numeric_fields: int) -> None:
        super().__init__(name="linear")
        self.weights_of_numbers = self.add_weight(name="numbers", shape=(numeric_fields, 1), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, linear_weights: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """linear_weights (B, F) are the looked-up last columns of the table."""
        of_numbers = tf.squeeze(tf.matmul(numbers, self.weights_of_numbers), axis=1)  # (B,)
        return tf.reduce_sum(linear_weights, axis=1) + of_numbers + self.bias  # (B,)


class Mlp(keras.layers.Layer):  # type: ignore[misc]
    """ReLU layers of the given widths, then a linear one: (B, H0) -> (B,) float32, or (B, outputs) where that is given.

    It starts Glorot uniform, with biases of 0. Its products are in the type of its input, from float32 weights; all
    else is float32. In half precision, the sum of a bias's gradients over the batch would stop growing at a few
    hundred rows.
    """

    def __init__(
        self, width: int, hidden: Sequence[int], seeds: Sequence[int], *, outputs: int | None = None, name: str = "mlp"
    ) -> None:
        super().__init__(name=name, autocast=False)
        self._is_scalar = outputs is None
        widths = (width, *hidden, outputs or 1)
        self.kernels, self.biases = [], []
        for index, (inward, outward) in enumerate(itertools.pairwise(widths)):
            name = f"hidden_{index}" if index < len(hidden) else "output"
            start = keras.initializers.GlorotUniform(seeds[index])
            self.kernels.append(self.add_weight(name=f"{name}/kernel", shape=(inward, outward), initializer=start))
            self.biases.append(self.add_weight(name=f"{name}/bias", shape=(outward,), initializer="zeros"))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs (B, H0) -> (B,), or (B, outputs)."""
        dtype = inputs.dtype
        *hidden, (kernel, bias) = zip(self.kernels, self.biases, strict=True)
        for inner_kernel, inner_bias in hidden:
            inputs = tf.cast(tf.nn.relu(_affine(inputs, inner_kernel, inner_bias)), dtype)  # (B, H)
        outputs = _affine(inputs, kernel, bias)  # (B, outputs)
        return tf.squeeze(outputs, axis=1) if self._is_scalar else outputs


def _affine(inputs: tf.Tensor, kernel: tf.Variable, bias: tf.Variable) -> tf.Tensor:
    """Inputs (B, H) of any float type -> (B, H') float32."""
    return tf.nn.bias_add(tf.cast(tf.matmul(inputs, tf.cast(kernel, inputs.dtype)), tf.float32), bias)
