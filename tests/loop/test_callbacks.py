"""Keras callbacks are called as Keras calls them, end a run, and cost nothing they do not ask for."""

import csv
from itertools import pairwise

import numpy as np
import pytest
import tf_keras as keras

from ctrfast.checkpoint import Checkpoint
from ctrfast.errors import ConfigError
from ctrfast.loop.callbacks import Callbacks
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.train import train
from tests import tiny_clicks


class Recorder(keras.callbacks.Callback):
    """Writes down each call."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_train_end(self, logs=None):
        self.calls.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(dict(logs))

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(logs["loss"])


@pytest.fixture(scope="module")
def followed(tiny_dataset, tmp_path_factory):
    """A run of two epochs, what a callback saw of it, and its model and weights at the end."""
    folder = tmp_path_factory.mktemp("callbacks")
    recorder = Recorder()
    callbacks = [recorder, keras.callbacks.CSVLogger(str(folder / "figures.csv")), keras.callbacks.History()]
    train(tiny_dataset, tiny_clicks.settings(epochs=2, log_every_steps=1), folder / "run", callbacks=callbacks)
    return folder, recorder, callbacks[-1]


def test_calls_come_in_kerass_order(followed):
    _, recorder, _ = followed
    kinds = [call if isinstance(call, str) else type(call).__name__ for call in recorder.calls]
    epoch = ["int", "float"] * 10
    assert kinds == ["begin", "epoch 0", *epoch, "dict", "epoch 1", *epoch, "dict", "end"]
    assert [call for call in recorder.calls if isinstance(call, int)] == [*range(10), *range(10)]


def test_logs_are_the_runs_figures(followed):
    folder, recorder, history = followed
    trained = [record["loss"] for record in tiny_clicks.records(folder / "run") if record["kind"] == "train"]
    np.testing.assert_array_equal([call for call in recorder.calls if isinstance(call, float)], trained)
    logs = [call for call in recorder.calls if isinstance(call, dict)]
    assert [log["val_auc"] for log in logs] == [auc for _, auc in tiny_clicks.evaluations(folder / "run")]
    assert [log["loss"] for log in logs] == [trained[9], trained[19]]
    assert history.history["val_auc"] == [log["val_auc"] for log in logs]
    with open(folder / "figures.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_log_loss"]) for row in rows] == [log["val_log_loss"] for log in logs]


def test_the_model_has_the_runs_weights(followed, tiny_dataset):
    folder, recorder, _ = followed
    network = open_network(Run.open(folder / "run"))
    weights = {weight.shape: weight for weight in recorder.model.get_weights()}
    assert len(recorder.model.weights) == len(network.weights())
    np.testing.assert_array_equal(weights[tuple(network.table.shape)], network.table)
    ids, numbers = np.array([[1, 65], [7, 70]], np.int32), np.zeros((2, 1), np.float32)
    np.testing.assert_allclose(recorder.model((ids, numbers)), network.logits(ids, numbers), rtol=1e-6)


def test_the_model_is_corrected_for_negatives_that_training_left_out(tiny_dataset):
    config = tiny_clicks.settings()
    network = Network(config.model, tiny_dataset.fitted, seed=1, embedding_init_std=0.1, negative_rate=0.25)
    recorder = Recorder()
    Callbacks([recorder], network, epochs=1, steps_per_epoch=1)
    ids, numbers = np.array([[1, 65], [7, 70]], np.int32), np.zeros((2, 1), np.float32)
    np.testing.assert_allclose(recorder.model((ids, numbers)), network.logits(ids, numbers), rtol=1e-6)
    own = network.model.logits(network.table.numpy()[ids], numbers)
    np.testing.assert_allclose(network.logits(ids, numbers), own + np.log(0.25), rtol=1e-5)


def test_early_stopping_ends_the_run(tiny_dataset, tmp_path):
    callback = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=1, min_delta=1.0)
    train(tiny_dataset, tiny_clicks.settings(), tmp_path / "run", callbacks=[callback])
    receipt = Run.open(tmp_path / "run").receipt
    assert (receipt.ended_by, receipt.steps, receipt.checkpoint) == ("callback", 20, "step-00000020")


def test_a_stop_within_an_epoch_takes_effect_after_the_step(tiny_dataset, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    seen = []
    train(tiny_dataset, tiny_clicks.settings(), tmp_path / "run", callbacks=[Stop()], on_progress=seen.append)
    assert Run.open(tmp_path / "run").receipt.steps == 3
    assert tiny_clicks.evaluations(tmp_path / "run")[0][0] == 3
    assert seen[-1].fraction == 1


@pytest.fixture
def network(tiny_dataset):
    config = tiny_clicks.settings()
    return Network(config.model, tiny_dataset.fitted, seed=1, embedding_init_std=0.1)


def test_batches_are_called_only_where_they_are_asked_for(network):
    def want_batches(*callbacks):
        return Callbacks(callbacks, network, epochs=1, steps_per_epoch=1).want_batches

    assert not want_batches()
    assert not want_batches(keras.callbacks.History(), keras.callbacks.LambdaCallback(on_epoch_end=print))
    assert want_batches(keras.callbacks.LambdaCallback(on_batch_end=print))


def test_a_callback_sees_the_weights_of_the_step_at_hand(tiny_dataset, tmp_path):
    """Also where a step leaves rows of the table behind."""

    class Weights(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.tables = []

        def on_train_batch_end(self, batch, logs=None):
            self.tables.append(self.model.table.numpy())

    seen = Weights()
    config = tiny_clicks.settings()
    train(tiny_dataset, config, tmp_path / "run", callbacks=[seen])
    run = Run.open(tmp_path / "run")
    assert len(seen.tables) == run.receipt.steps
    last = Checkpoint.open(run.checkpoint, run.seal).tensors(["table"])["table"]
    np.testing.assert_array_equal(seen.tables[-1], last)
    assert all(np.abs(after - before).max() > 0 for before, after in pairwise(seen.tables))


@pytest.mark.parametrize(
    "callback, remedy",
    [
        (lambda: keras.callbacks.ModelCheckpoint("x"), "checkpoint_every_steps"),
        (lambda: keras.callbacks.BackupAndRestore("x"), "resume"),
        (lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1), "lr_decay"),
        (keras.callbacks.ReduceLROnPlateau, "lr_decay=plateau"),
        (keras.callbacks.TensorBoard, "RUN/tensorboard"),
        (lambda: keras.callbacks.EarlyStopping(restore_best_weights=True), "final_weights=best"),
    ],
)
def test_what_cannot_work_is_refused(tiny_dataset, tmp_path, callback, remedy):
    with pytest.raises(ConfigError, match=f"cannot be used.*{remedy}") as caught:
        train(tiny_dataset, tiny_clicks.settings(), tmp_path / "run", callbacks=[callback()])
    assert caught.value.path == "callbacks"
    assert not (tmp_path / "run").exists()
