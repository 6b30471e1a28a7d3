"""Pairs of fields: their products, and the weighted sum of FwFM."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras


def pair_places(fields: int) -> tuple[list[int], list[int]]:
    """Fields i and j of the F (F - 1) / 2 pairs i < j, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    first, second = np.triu_indices(fields, k=1)
    return first.tolist(), second.tolist()


@tf.custom_gradient  # type: ignore[untyped-decorator]
def pair_products(embeddings: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Embeddings (B, F, D) -> e_i * e_j of each pair (B, P, D).

    The gradient is written out: that of a gather is a scatter, which takes 2.5 times as long under XLA.
    """
    fields, width = embeddings.shape[1], embeddings.shape[2]
    first, second = pair_places(fields)
    pair_of = np.full((fields, fields), len(first))  # the pair of two fields; past the last, a field with itself
    pair_of[first, second] = pair_of[second, first] = np.arange(len(first))

    def gradient(of_pairs: tf.Tensor) -> tf.Tensor:
        """Of pairs (B, P, D) -> of embeddings (B, F, D): that of e_i is the sum over j of g_ij * e_j."""
        with_zero = tf.concat((of_pairs, tf.zeros_like(of_pairs[:, :1])), axis=1)  # (B, P+1, D)
        by_fields = tf.reshape(tf.gather(with_zero, pair_of.ravel(), axis=1), (-1, fields, fields, width))
        return tf.reduce_sum(by_fields * embeddings[:, tf.newaxis], axis=2)

    return tf.gather(embeddings, first, axis=1) * tf.gather(embeddings, second, axis=1), gradient


def inner_products(vectors: tf.Tensor, kept: Sequence[int] | None = None) -> tf.Tensor:
    """Vectors (B, F, D) -> <v_i, v_j> of each pair (B, P), or of those at the given places."""
    fields = vectors.shape[1]
    gram = tf.matmul(vectors, vectors, transpose_b=True)  # (B, F, F)
    first, second = pair_places(fields)
    places = [i * fields + j for i, j in zip(first, second, strict=True)]
    places = places if kept is None else [places[at] for at in kept]
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
