"""The training step equals the numpy oracle, for each network, clip and way of execution."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import ModelConfig
from ctrfast.models import build_model
from ctrfast.optim.cowclip_adam import CowClipAdam, StepSettings
from ctrfast.step import Execution, TrainStep
from tests.oracle import Trainer

SIZES, D, N, B, STEPS = [5, 40, 300], 6, 4, 96, 20
SETTINGS = {"lr_dense": 1e-3, "lr_embed": 1e-3, "l2": 1e-3, "clip_ratio": 0.003, "bound": 1e-2, "warmup_steps": 7}


def make(name, settings, execution):
    rng = np.random.default_rng(5)
    offsets = np.cumsum([0, *SIZES[:-1]]).astype(np.int32)
    model = build_model(
        ModelConfig(name=name, embedding_dim=D, hidden=(16, 8)), id_fields=len(SIZES), numeric_fields=N, seed=1
    )
    start = rng.normal(0, 0.1, (sum(SIZES), D + 1)).astype(np.float32)
    table = tf.Variable(start)
    optimizer = CowClipAdam(
        StepSettings(**settings), table, offsets.tolist(), model.linear_variables, model.deep_variables
    )
    dense = [variable.numpy() for variable in model.dense_variables]
    oracle = Trainer(name, np.split(start, offsets[1:]), dense, settings)
    return TrainStep(model, optimizer, B, execution), optimizer, oracle, offsets


def batches():
    rng = np.random.default_rng(6)
    for _ in range(STEPS):
        ids = (rng.random((B, len(SIZES))) ** 3 * SIZES).astype(np.int32)
        numbers = rng.normal(size=(B, N)).astype(np.float32)
        yield ids, numbers, (rng.random(B) < 0.3).astype(np.float32)


PLAIN = Execution(micro_batch_size=None, jit=False, touched_share=0)
TOUCHED = Execution(micro_batch_size=None, jit=False, touched_share=1e9)


@pytest.mark.parametrize("execution", [PLAIN, TOUCHED], ids=["whole", "touched"])
@pytest.mark.parametrize("clip", [True, False], ids=["clip", "no clip"])
@pytest.mark.parametrize("name", ["deepfm", "wide_deep"])  # the oracle has their gradients by hand
def test_twenty_steps_equal_the_oracle(name, clip, execution):
    settings = SETTINGS | ({} if clip else {"clip_ratio": None})
    step, optimizer, oracle, offsets = make(name, settings, execution)
    fired = 0
    for ids, numbers, labels in batches():
        loss, _, clipped = step(ids + offsets, numbers, labels)
        assert float(loss) == pytest.approx(oracle.train(ids, numbers, labels), abs=2e-6)
        if clip:
            np.testing.assert_allclose(clipped, oracle.clipped, atol=1)  # a row at its limit may round either way
            fired += sum(oracle.clipped)
    assert fired > 100 or not clip  # else the test would not see the clip
    np.testing.assert_allclose(optimizer.table, np.concatenate(oracle.tables), rtol=0, atol=5e-6)
    for ours, theirs in zip(optimizer.dense, oracle.dense, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    "execution",
    [Execution(32, False, 0), Execution(40, False, 1e9), Execution(None, True, 0)],
    ids=["micro-batches", "uneven micro-batches, touched rows", "jit"],
)
def test_each_way_of_execution_takes_the_same_step(execution):
    plain, optimizer, _, offsets = make("deepfm", SETTINGS, PLAIN)
    other, other_optimizer, _, _ = make("deepfm", SETTINGS, execution)
    for ids, numbers, labels in batches():
        expected, got = plain(ids + offsets, numbers, labels), other(ids + offsets, numbers, labels)
        np.testing.assert_allclose(got[0], expected[0], atol=1e-6)
        np.testing.assert_array_equal(got[2], expected[2])
    for name, variable in optimizer.state().items():
        np.testing.assert_allclose(other_optimizer.state()[name], variable, rtol=0, atol=1e-6)


def test_a_penalty_beyond_the_clip_takes_the_whole_form():
    """With 2 l2 > ratio even absent rows are clipped, which the touched form leaves out."""
    settings = SETTINGS | {"l2": 0.01, "clip_ratio": 0.003, "bound": 1e-5}
    step, optimizer, oracle, offsets = make("deepfm", settings, TOUCHED)
    assert not optimizer.can_leave_absent_rows_unclipped()
    for ids, numbers, labels in batches():
        step(ids + offsets, numbers, labels)
        oracle.train(ids, numbers, labels)
    np.testing.assert_allclose(optimizer.table, np.concatenate(oracle.tables), rtol=0, atol=5e-6)
