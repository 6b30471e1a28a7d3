"""The parts that CTR networks are made of: the linear part, FM pairs, the joined input of a deep part."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras


def split_rows(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Table rows (B, F, D+1) -> embeddings (B, F, D) and linear weights (B, F)."""
    return rows[:, :, :-1], rows[:, :, -1]


def sum_of_pairs(embeddings: tf.Tensor) -> tf.Tensor:
    """Sum over pairs i < j of e_i * e_j, in linear time: embeddings (B, F, D) -> (B, D).

    Source: Rendle 2010, Factorization Machines, Eq. 3 (Lemma 3.1).
    """
    total = tf.reduce_sum(embeddings, axis=1)  # (B, D)
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)  # (B, D)
    return 0.5 * (tf.square(total) - squares)  # (B, D)


def factorization_pairs(embeddings: tf.Tensor) -> tf.Tensor:
    """Sum over pairs i < j of <e_i, e_j>: embeddings (B, F, D) -> (B,)."""
    return tf.reduce_sum(sum_of_pairs(embeddings), axis=1)  # (B,)


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
