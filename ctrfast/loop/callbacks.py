"""Keras callbacks in a run of ctrfast.

    stopping = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=2)
    train(dataset, config, out, callbacks=[stopping, keras.callbacks.CSVLogger("figures.csv")])

Called: on_train_begin/end, on_epoch_begin/end, on_train_batch_begin/end. `callback.model` is a `keras.Model` over table
and network: its weights, to be read, a call on (ids, numbers), and `stop_training`, which ends the run after the step
at hand. Logs of an epoch's end: `loss` (mean of the last record's steps), `val_auc`, `val_log_loss` and all other
figures. Logs of a batch's end: `loss`. Only where a callback asks for batches, each step waits for the device, and on a
CPU for all rows of the table.

Work: EarlyStopping, CSVLogger, LambdaCallback, History, TerminateOnNaN, ProgbarLogger, RemoteMonitor, and your own that
keep to the above. Refused, because ctrfast does the work itself and exactly: see `_REFUSED`.
A run that is resumed calls the callbacks from where it goes on; what they remember is theirs to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.network import Network

_REFUSED = {
    "BackupAndRestore": "a run is resumed from its own checkpoints, with `resume`",
    "LearningRateScheduler": "set optimizer.lr_decay and optimizer.warmup_epochs",
    "ModelCheckpoint": "set checkpoint_every_steps, and final_weights=best for the best weights",
    "ReduceLROnPlateau": "set optimizer.lr_decay=plateau",
    "TensorBoard": "each run writes TensorBoard events to RUN/tensorboard",
}


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that cannot work.

    Raises:
        ConfigError: the callback is named, and what to do instead.
    """
    for callback in callbacks:
        for name, remedy in _REFUSED.items():
            if isinstance(callback, getattr(keras.callbacks, name)):
                raise ConfigError(f"The Keras callback {name} cannot be used. Instead, {remedy}.", path="callbacks")
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            raise ConfigError(
                "`restore_best_weights` cannot be used: the figures would not be those of the weights. "
                "Instead, set final_weights=best.",
                path="callbacks",
            )


class Callbacks:
    """The callbacks of one run, called as Keras would call them.

    Args:
        callbacks: Keras callbacks that `check_callbacks` passes.
        network: what they see as their model.
        epochs: of the run.
        steps_per_epoch: batches of an epoch.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], network: Network, *, epochs: int, steps_per_epoch: int
    ) -> None:
        self._model = _CallbackModel(network) if callbacks else None
        self._list = keras.callbacks.CallbackList(
            list(callbacks), model=self._model, epochs=epochs, steps=steps_per_epoch, verbose=1
        )
        self.want_batches = any(callback._implements_train_batch_hooks() for callback in callbacks)

    @property
    def has_stopped(self) -> bool:
        """Whether a callback has set `model.stop_training`."""
        return self._model is not None and bool(self._model.stop_training)

    def train_begins(self) -> None:
        """Before the first epoch."""
        self._list.on_train_begin()
        if self._model is not None:
            self._model.stop_training = False

    def train_ends(self, figures: dict[str, float]) -> None:
        """After the last epoch."""
        self._list.on_train_end(_logs(figures))

    def epoch_begins(self, epoch: int) -> None:
        """Before an epoch, or the rest of one that is resumed."""
        self._list.on_epoch_begin(epoch)

    def epoch_ends(self, epoch: int, figures: dict[str, float]) -> None:
        """After an epoch and its evaluation."""
        self._list.on_epoch_end(epoch, _logs(figures))

    def batch_begins(self, batch: int) -> None:
        """Before a step, where `want_batches`; batch: within the epoch."""
        self._list.on_train_batch_begin(batch)

    def batch_ends(self, batch: int, loss: tf.Tensor) -> None:
        """After a step, where `want_batches`."""
        self._list.on_train_batch_end(batch, {"loss": float(loss)})


class _CallbackModel(keras.Model):  # type: ignore[misc]
    """Table and network as one Keras model: (ids (B, S), numbers (B, N)) -> logits (B,), corrected."""

    def __init__(self, network: Network) -> None:
        super().__init__(name=network.model.name)
        self.table = network.table
        self.network = network.model
        self._look_up, self._corrected_logits = network.look_up, network.corrected_logits

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        ids, numbers = inputs
        return self._corrected_logits(self._look_up(ids), numbers)  # (B,)


def _logs(figures: dict[str, float]) -> dict[str, Any]:
    """The figures under Keras's names: `valid_auc` reads `val_auc`."""
    return {
        (f"val_{name.removeprefix('valid_')}" if name.startswith("valid_") else name): value
        for name, value in figures.items()
    }
