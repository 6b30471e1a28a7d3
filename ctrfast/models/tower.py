"""What all towers share: their last layer, how hidden layers end, and what they do in a training pass alone.

A tower maps (B, H0) to (B,). Its products are in the type of its input, from float32 weights; all else is float32. In
half precision, the sum of a bias's gradients over the batch would stop growing at a few hundred rows.

    with tower.watched(Pass(is_training=True)) as seen:
        logits = tower(inputs)              # dropout, and norms by the batch at hand
    loss += tf.add_n(seen.penalties)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import tensorflow as tf
import tf_keras as keras

from ctrfast.models.hidden_end import HiddenEnd
from ctrfast.tower_config import TowerSettings


@dataclass
class Pass:
    """A pass through towers, and what they leave in it.

    is_training: with dropout, and batch norms by the rows at hand. penalties: losses of the towers' own, (), means over
    the rows. Of each mixture, gates: the experts' mean weights (E,); shares: of the rows that take each expert (E,);
    balances: what the penalty weighs, ().
    """

    is_training: bool
    penalties: list[tf.Tensor] = field(default_factory=list)
    gates: list[tf.Tensor] = field(default_factory=list)
    shares: list[tf.Tensor] = field(default_factory=list)
    balances: list[tf.Tensor] = field(default_factory=list)


class Affine(keras.layers.Layer):  # type: ignore[misc]
    """h W + b: (B, H) of any float type -> (B, H') float32. W starts Glorot uniform, b at 0."""

    def __init__(self, inward: int, outward: int, seed: int, name: str, *, has_bias: bool = True) -> None:
        super().__init__(name=name, autocast=False)
        start = keras.initializers.GlorotUniform(seed)
        self.kernel = self.add_weight(name="kernel", shape=(inward, outward), initializer=start)
        self.bias = self.add_weight(name="bias", shape=(outward,), initializer="zeros") if has_bias else None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs (B, H) -> (B, H')."""
        return affine(inputs, self.kernel, self.bias)


class Tower(keras.layers.Layer):  # type: ignore[misc]
    """Base of the towers: hidden layers, which a subclass makes and passes through, then a linear one.

    Args:
        settings: of the tower.
        next_seed: gives a seed for one more layer.
        outputs: width of the last layer; `None` for a logit, (B,); 0 for none, so that a hidden one ends the tower.
        name: of the layer.
    """

    def __init__(
        self, settings: TowerSettings, next_seed: Callable[[], int], *, outputs: int | None, name: str
    ) -> None:
        super().__init__(name=name, autocast=False)
        self.settings = settings
        self._next_seed = next_seed
        self._is_scalar, self._is_open = outputs is None, outputs == 0
        self._seen: Pass | None = None
        self.affines: list[Affine] = []
        self.ends: list[HiddenEnd] = []
        self.passes: tf.Variable | None = None
        if settings.dropout or settings.norm == "batch":
            # Of training: draws dropout anew, and says how far a batch norm's averages reach back.
            self.passes = self.add_weight(name="passes", shape=(), dtype=tf.int64, initializer="zeros", trainable=False)

    @contextmanager
    def watched(self, seen: Pass) -> Iterator[Pass]:
        """Within it, calls are of this pass."""
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Inputs (B, H0) -> (B,) float32, or (B, outputs); without a last layer (B, H) of the inputs' type."""
        if self._seen is not None and self._seen.is_training and self.passes is not None:
            self.passes.assign_add(1)
        if self._is_open:
            return self.hidden(inputs, self._seen)  # (B, H)
        outputs = self.affines[-1](self.hidden(inputs, self._seen))  # (B, outputs)
        return tf.squeeze(outputs, axis=1) if self._is_scalar else outputs

    def hidden(self, inputs: tf.Tensor, seen: Pass | None) -> tf.Tensor:
        """Inputs (B, H0) -> what the last layer gets (B, H), of the same type."""
        raise NotImplementedError

    @property
    def hidden_affines(self) -> list[Affine]:
        """The layers before the last one."""
        return self.affines if self._is_open else self.affines[:-1]

    @property
    def kernels(self) -> list[tf.Variable]:
        """Of the layers that are no mixtures, the last one too."""
        return [layer.kernel for layer in self.affines]

    @property
    def biases(self) -> list[tf.Variable]:
        """Of the layers in `kernels` that have one."""
        return [layer.bias for layer in self.affines if layer.bias is not None]

    def _add_hidden(self, name: str, inward: int, outward: int) -> None:
        """A batch norm takes away what a bias adds to all rows alike: before one there is none."""
        has_bias = self.settings.norm != "batch"
        self.affines.append(Affine(inward, outward, self._next_seed(), name, has_bias=has_bias))

    def _add_output(self, inward: int, outputs: int | None) -> None:
        if self._is_open:
            return
        self.affines.append(Affine(inward, outputs or 1, self._next_seed(), "output"))

    def _add_end(self, width: int) -> None:
        seed = self._next_seed() if self.settings.dropout else 0
        self.ends.append(HiddenEnd(width, self.settings, self.passes, seed, f"end_{len(self.ends)}"))

    def _end(self, index: int, products: tf.Tensor, dtype: tf.DType, seen: Pass | None) -> tf.Tensor:
        """Products (B, H) of a hidden layer -> its output (B, H) of this type."""
        return tf.cast(self.ends[index](products, seen is not None and seen.is_training), dtype)


def affine(inputs: tf.Tensor, kernel: tf.Variable, bias: tf.Variable | None) -> tf.Tensor:
    """Inputs (B, H) of any float type -> (B, H') float32."""
    products = tf.cast(tf.matmul(inputs, tf.cast(kernel, inputs.dtype)), tf.float32)
    return products if bias is None else tf.nn.bias_add(products, bias)
