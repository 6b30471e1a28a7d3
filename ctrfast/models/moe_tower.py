"""A tower of mixtures of experts: each row goes through the experts that its gates choose.

p(h) = softmax(h G)                                          gates, of E experts
mixture(h) = sum over the k largest p_i(h) of p_i(h) (h W_i + b_i)
balance = E / k * sum_i f_i P_i                              f_i: share of rows that take expert i, P_i: mean of p_i

The balance is 1 where all experts are taken alike, and E / k where all rows take the same. Only P_i has a gradient.

Source of the balance: Fedus et al. 2021, Switch Transformers, arXiv:2101.03961, section 2.2, Eq. 4-6, which is for
k = 1; for k > 1, WideNet's published code (`load_balanced_loss` of widenet/model_configs.py), which divides by k too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.tower import Pass, Tower, affine
from ctrfast.tower_config import MoeSettings


class Mixture(keras.layers.Layer):  # type: ignore[misc]
    """The k chosen of E experts, each a layer: (B, H) -> (B, H').

    All experts are computed for all rows, side by side in one product, and what was not chosen counts 0. So the choice
    saves no arithmetic: a mixture costs as much as all of its experts.
    """

    def __init__(
        self, inward: int, outward: int, settings: MoeSettings, next_seed: Callable[[], int], name: str
    ) -> None:
        super().__init__(name=name, autocast=False)
        self._settings, self._outward = settings, outward
        limit = (6.0 / (inward + outward)) ** 0.5  # Glorot's, of one expert
        start = keras.initializers.RandomUniform(-limit, limit, next_seed())
        shape = (inward, settings.experts * outward)
        self.kernel = self.add_weight(name="experts/kernel", shape=shape, initializer=start)
        self.bias = self.add_weight(name="experts/bias", shape=shape[1:], initializer="zeros")
        gate_start = keras.initializers.GlorotUniform(next_seed())
        self.gate = self.add_weight(name="gate", shape=(inward, settings.experts), initializer=gate_start)

    def call(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H) of any float type -> (B, H') float32. Gates are float32, so that no row changes experts."""
        experts, top_k = self._settings.experts, self._settings.top_k
        gates = tf.nn.softmax(tf.matmul(tf.cast(inputs, tf.float32), self.gate))  # (B, E)
        _, places = tf.math.top_k(gates, top_k)  # (B, k)
        chosen = tf.reduce_sum(tf.one_hot(places, experts), axis=1)  # (B, E)
        kept = gates * chosen  # (B, E)
        if seen is not None:
            shares = tf.reduce_mean(chosen, axis=0)  # (E,)
            balance = experts / top_k * tf.reduce_sum(shares * tf.reduce_mean(gates, axis=0))  # ()
            seen.penalties.append(self._settings.balance * balance)
            seen.gates.append(tf.reduce_mean(kept, axis=0))
            seen.shares.append(shares)
            seen.balances.append(balance)
        products = tf.reshape(affine(inputs, self.kernel, self.bias), (-1, experts, self._outward))  # (B, E, H')
        return tf.reduce_sum(kept[:, :, tf.newaxis] * products, axis=1)  # (B, H')

    def expert_kernels(self) -> tf.Tensor:
        """Of each expert, (E, H, H')."""
        parts = tf.reshape(self.kernel, (-1, self._settings.experts, self._outward))
        return tf.transpose(parts, (1, 0, 2))

    def expert_biases(self) -> tf.Tensor:
        """Of each expert, (E, H')."""
        return tf.reshape(self.bias, (self._settings.experts, self._outward))


class MoeTower(Tower):
    """h_1 = end(x W_1 + b_1), h_l = end(mixture_l(h_{l-1})) for l = 2 ... L, logit = h_L w + b.

    In training, `balance` times the sum of the mixtures' balances is added to the loss. With `across_depth: shared` all
    mixtures are one, experts and gates, and the norms, which there must be, stay each depth's own.

    Source: Lou et al. 2021, Sparse-MLP, arXiv:2109.02008 (mixtures in place of MLP layers, top-k gates); Xue et al.
    2021, WideNet, arXiv:2107.11817 (gates after the softmax, one mixture for all depths, norms of their own); Fedus et
    al. 2021, Switch Transformers, arXiv:2101.03961, Eq. 4-6 (the balance, divided by k as in WideNet's code).
    Differs from the sources: an expert is one layer, not two with a residual path; no noise on the gates, so that one
    seed gives one run; no capacity, so that no row is left out. Sparse-MLP balances by two other terms, the squared
    coefficients of variation of the experts' mean gates and of their loads.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        next_seed: Callable[[], int],
        *,
        settings: MoeSettings,
        outputs: int | None = None,
        name: str = "mlp",
    ) -> None:
        super().__init__(settings, next_seed, outputs=outputs, name=name)
        first, *rest = hidden
        self._add_hidden("hidden_0", width, first)
        made = rest[:1] if settings.across_depth == "shared" else rest
        self.mixtures = [
            Mixture(inward, outward, settings, next_seed, f"mixture_{index}")
            for index, (inward, outward) in enumerate(zip(hidden, made, strict=False))
        ]
        self._of_depth = [index % len(made) for index in range(len(rest))]
        self._add_output(hidden[-1], outputs)
        for outward in hidden:
            self._add_end(outward)

    @property
    def by_depth(self) -> list[Mixture]:
        """The mixture of each layer after the first."""
        return [self.mixtures[index] for index in self._of_depth]

    def hidden(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H0) -> (B, H)."""
        dtype = inputs.dtype
        inputs = self._end(0, self.affines[0](inputs), dtype, seen)
        for depth, mixture in enumerate(self.by_depth, start=1):
            inputs = self._end(depth, mixture(inputs, seen), dtype, seen)
        return inputs
