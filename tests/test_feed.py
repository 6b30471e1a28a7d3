"""Rows that lie in the device's memory give the steps of batches from disk; a split that does not fit stays on disk."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.errors import Cancelled
from ctrfast.feed import Feed
from ctrfast.network import Network
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.replicas import Replicas, choose_devices
from ctrfast.step import Execution
from ctrfast.train import train

COMPILED = Execution(micro_batch_size=None, jit=True, in_place=False)  # a GPU's
SETTINGS = {"batch_size": 256, "model": {"embedding_dim": 2, "hidden": [4]}, "shuffle_rows": 600}
ROW_BYTES = (2 + 1 + 1) * 4  # two ids, a number, the label


def replicas(dataset, config, execution=COMPILED):
    settings = StepSettings.of(make_plan(config, dataset.fitted.schema_.name), steps_per_epoch=10, epochs=2)
    starts = [row for _, row in dataset.fitted.row_ranges]

    def make():
        return Network(config.model, dataset.fitted, seed=1, embedding_init_std=0.01)

    return Replicas(make, starts, settings, choose_devices(1), batch_size=256, execution=execution)


@pytest.fixture(scope="module")
def fed(tiny_dataset):
    """Losses and tables after an epoch and the second half of another, from disk and from memory."""
    config, results = parse_config(SETTINGS), []
    for room in (None, 2 * 2700 * ROW_BYTES):
        steps = replicas(tiny_dataset, config)
        feed = Feed(tiny_dataset, steps, config, room_bytes=room)
        losses = [float(take()[0]) for epoch, skip in ((0, 0), (1, 5)) for take in feed.epoch(epoch, skip=skip)]
        results.append((losses, steps.network.table.numpy(), feed.is_held))
    return results


def test_rows_in_the_devices_memory_give_the_same_steps(fed):
    (losses, table, was_held), (other_losses, other_table, other_was_held) = fed
    assert (was_held, other_was_held) == (False, True)
    assert len(losses) == 10 + 5
    assert len(set(losses)) == len(losses)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-6)
    np.testing.assert_allclose(other_table, table, rtol=0, atol=1e-6)


def test_a_split_without_room_for_two_copies_stays_on_disk(tiny_dataset):
    config = parse_config(SETTINGS)
    steps = replicas(tiny_dataset, config)
    assert not Feed(tiny_dataset, steps, config, room_bytes=2 * 2700 * ROW_BYTES - 1).is_held


def test_rows_of_another_form_of_step_are_refused(tiny_dataset):
    config = parse_config(SETTINGS)
    in_place = replicas(tiny_dataset, config, Execution(micro_batch_size=None, jit=False, in_place=True))
    with pytest.raises(TypeError, match=r"take TableSteps\. Got RowStep"):
        in_place.step_of_rows(tf.zeros((4, 4)), np.zeros(256, np.int32))
    in_place.close()


def test_a_run_on_a_gpu_is_that_on_a_cpu(tiny_dataset, tmp_path, monkeypatch):
    """The GPU's way from end to end, on the CPU: rows held, the whole step compiled, a break half-way."""
    config = parse_config({**SETTINGS, "epochs": 2, "checkpoint_every_steps": 4})
    expected = train(tiny_dataset, config, tmp_path / "cpu").metrics
    monkeypatch.setattr("ctrfast.training_loop.device_memory", lambda devices: 2**33)
    monkeypatch.setattr("ctrfast.training_loop.choose_execution", lambda micro_batch_size: COMPILED)
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        train(tiny_dataset, config, tmp_path / "gpu", should_stop=lambda: next(asked) == 13)
    metrics = train(tiny_dataset, config, tmp_path / "gpu", resume=True).metrics
    for name in ("loss", "valid_auc", "valid_log_loss", "test_auc", "test_log_loss", "clipped_share"):
        assert metrics[name] == pytest.approx(expected[name], abs=1e-4), name
