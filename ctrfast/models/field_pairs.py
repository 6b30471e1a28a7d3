"""Pairs of fields: their products, and the weighted sum of FwFM."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras


def pair_places(fields: int) -> tuple[list[int], list[int]]:
    """Fields i and j of the F (F - 1) / 2 pairs i < j, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    first, second = np.triu_indices(fields, k=1)
    return first.tolist(), second.tolist()


def pair_products(embeddings: tf.Tensor) -> tf.Tensor:
    """Embeddings (B, F, D) -> e_i * e_j of each pair (B, P, D)."""
    first, second = pair_places(embeddings.shape[1])
    return tf.gather(embeddings, first, axis=1) * tf.gather(embeddings, second, axis=1)


def inner_products(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors (B, F, D) -> <v_i, v_j> of each pair (B, P)."""
    fields = vectors.shape[1]
    gram = tf.matmul(vectors, vectors, transpose_b=True)  # (B, F, F)
    first, second = pair_places(fields)
    places = [i * fields + j for i, j in zip(first, second, strict=True)]
    return tf.gather(tf.reshape(gram, (-1, fields * fields)), places, axis=1)  # (B, P)


class WeightedPairs(keras.layers.Layer):  # type: ignore[misc]
    """Sum over pairs r_ij <e_i, e_j>: (B, F, D) -> (B,). r starts at 1, which is FM.

    Source: Pan et al. 2018, "Field-weighted Factorization Machines", WWW, arXiv:1806.03514, Eq. 4.
    """

    def __init__(self, fields: int) -> None:
        super().__init__(name="weighted_pairs")
        self.pair_weights = self.add_weight(name="r", shape=(fields * (fields - 1) // 2,), initializer="ones")

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Embeddings (B, F, D) -> (B,)."""
        return tf.linalg.matvec(inner_products(embeddings), self.pair_weights)
