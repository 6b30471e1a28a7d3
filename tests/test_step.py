"""The training step equals the numpy oracle, for each network, clip and way of execution."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.optim.step_settings import StepSettings
from ctrfast.row_step import RowStep
from ctrfast.step import Execution, make_step
from tests.oracle import Trainer

SIZES, D, N, B, STEPS = [5, 40, 300], 6, 4, 96, 20
SETTINGS = {
    "lr_dense": 1e-3,
    "lr_embed": 1e-3,
    "l2": 1e-3,
    "clip": "adaptive_column",
    "clip_ratio": 0.003,
    "bound": 1e-2,
    "warmup_steps": 7,
    "total_steps": STEPS,
}


def make(name, settings, execution, precision="float32"):
    rng = np.random.default_rng(5)
    offsets = np.cumsum([0, *SIZES[:-1]]).astype(np.int32)
    model = build_model(
        ModelConfig(name=name, embedding_dim=D, hidden=(16, 8)), id_fields=len(SIZES), numeric_fields=N, seed=1
    )
    start = rng.normal(0, 0.1, (sum(SIZES), D + 1)).astype(np.float32)
    table = tf.Variable(start)
    dense = [variable.numpy() for variable in model.dense_variables]
    oracle = Trainer(name, np.split(start, offsets[1:]), dense, settings)
    step = make_step(
        model,
        table,
        offsets.tolist(),
        StepSettings(**settings),
        batch_size=B,
        execution=execution,
        precision=precision,
    )
    return step, step.optimizer, oracle, offsets


def batches():
    rng = np.random.default_rng(6)
    for _ in range(STEPS):
        ids = (rng.random((B, len(SIZES))) ** 3 * SIZES).astype(np.int32)
        numbers = rng.normal(size=(B, N)).astype(np.float32)
        yield ids, numbers, (rng.random(B) < 0.3).astype(np.float32)


PLAIN = Execution(micro_batch_size=None, jit=False, in_place=False)
IN_PLACE = Execution(micro_batch_size=40, jit=False, in_place=True)
COMPILED = Execution(micro_batch_size=None, jit=True, in_place=False)  # a GPU's


FORMS = {PLAIN: "whole", IN_PLACE: "in place", COMPILED: "compiled"}
VARIANTS = {
    "cowclip": {},
    "no clip": {"clip": "none"},
    "no penalty": {"clip": "none", "l2": 0.0},
    "global": {"clip": "global", "clip_norm": 0.046},
    "field": {"clip": "field", "clip_norm": 0.025},
    "column": {"clip": "column", "clip_norm": 1.5e-3},
    "adaptive field": {"clip": "adaptive_field", "clip_ratio": 0.008},
    "lamb": {"optimizer": "lamb", "lr_dense": 3e-3, "lr_embed": 3e-3},
    "lars": {"optimizer": "lars", "lr_dense": 2.0, "lr_embed": 2.0},
    "cosine": {"lr_decay": "cosine"},
    "short memory": {"clip": "none", "beta_1": 0.5, "lr_decay": "cooldown"},
    "sparse": {"update": "sparse"},
    "sparse, field": {"update": "sparse", "clip": "field", "clip_norm": 0.025},
}
CASES = [
    *(("deepfm", variant, PLAIN) for variant in VARIANTS),  # the oracle has these two networks' gradients by hand
    ("wide_deep", "cowclip", PLAIN),
    *(
        ("deepfm", variant, IN_PLACE)
        for variant in ("cowclip", "no clip", "no penalty", "cosine", "short memory", "sparse")
    ),
    *(("deepfm", variant, COMPILED) for variant in ("cowclip", "short memory", "sparse", "sparse, field")),
]


@pytest.mark.parametrize("name, variant, execution", CASES, ids=lambda v: FORMS[v] if isinstance(v, Execution) else v)
def test_twenty_steps_equal_the_oracle(name, variant, execution):
    settings = SETTINGS | VARIANTS[variant]
    step, optimizer, oracle, offsets = make(name, settings, execution)
    assert isinstance(step, RowStep) is (execution is IN_PLACE)
    start = np.asarray(optimizer.state()["table"]).copy()
    fired = passed = 0
    for ids, numbers, labels in batches():
        loss, present, clipped = step(ids + offsets, numbers, labels)
        assert float(loss) == pytest.approx(oracle.train(ids, numbers, labels), abs=2e-6)
        np.testing.assert_array_equal(present, [len(np.unique(ids[:, f])) for f in range(len(SIZES))])
        np.testing.assert_allclose(clipped, oracle.clipped, atol=1)  # a row at its limit may round either way
        fired += sum(oracle.clipped)
        passed += float(np.sum(present)) - sum(oracle.clipped)
    assert passed > 100
    assert fired > 100 or settings["clip"] == "none"  # else the test would not see the clip
    table = np.asarray(optimizer.state()["table"]).copy()
    assert np.abs(table - start).max() > 5e-3
    np.testing.assert_allclose(table, np.concatenate(oracle.tables), rtol=0, atol=5e-6)
    # Adam's steps hide a factor that all gradients of a row have in common; its moments do not.
    moments = np.concatenate([oracle.first_moment(f) for f in range(len(SIZES))])
    np.testing.assert_allclose(optimizer.state()["table.first"], moments, rtol=0, atol=1e-5 * np.abs(moments).max())
    for ours, theirs in zip(optimizer.dense, oracle.dense, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    "execution",
    [Execution(32, False, False), IN_PLACE, COMPILED, Execution(40, True, False)],
    ids=["micro-batches", "uneven micro-batches, in place", "compiled", "uneven micro-batches, compiled"],
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


@pytest.mark.parametrize("precision, distance", [("bfloat16", 0.02), ("float16", 0.004)])
def test_half_precision_takes_about_the_same_step(precision, distance):
    """The same first gradients up to the type's rounding, from weights that stay float32."""
    plain, optimizer, _, offsets = make("deepfm", SETTINGS, PLAIN)
    half, half_optimizer, _, _ = make("deepfm", SETTINGS, PLAIN, precision)
    ids, numbers, labels = next(batches())
    expected, got = plain(ids + offsets, numbers, labels), half(ids + offsets, numbers, labels)
    assert float(got[0]) == pytest.approx(float(expected[0]), rel=distance)
    for name in ("dense.02.first", "dense.04.first", "table.first"):  # a tenth of the first gradient
        exact, rounded = np.asarray(optimizer.state()[name]), np.asarray(half_optimizer.state()[name])
        assert 0 < np.linalg.norm(rounded - exact) < distance * np.linalg.norm(exact)
    assert all(variable.dtype == tf.float32 for variable in [half_optimizer.table, *half_optimizer.dense])


def test_a_penalty_beyond_the_clip_takes_the_whole_form():
    """With 2 l2 > ratio even absent rows are clipped, which the step in place leaves out."""
    settings = SETTINGS | {"l2": 0.01, "clip_ratio": 0.003, "bound": 1e-5}
    step, optimizer, oracle, offsets = make("deepfm", settings, IN_PLACE)
    assert not isinstance(step, RowStep)
    for ids, numbers, labels in batches():
        step(ids + offsets, numbers, labels)
        oracle.train(ids, numbers, labels)
    np.testing.assert_allclose(optimizer.table, np.concatenate(oracle.tables), rtol=0, atol=5e-6)


def test_a_step_that_is_broken_off_leaves_no_gradients_behind():
    broken, optimizer, _, offsets = make("deepfm", SETTINGS, IN_PLACE)
    whole, expected, _, _ = make("deepfm", SETTINGS, IN_PLACE)
    first, *others = batches()
    bad = np.full((B, N - 1), 1.0, np.float32)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        broken(first[0] + offsets, bad, first[2])
    for ids, numbers, labels in others:
        whole(ids + offsets, numbers, labels)
        broken(ids + offsets, numbers, labels)
    for name, value in expected.state().items():
        np.testing.assert_array_equal(np.asarray(optimizer.state()[name]), np.asarray(value), err_msg=name)


def test_a_closed_step_has_no_threads_and_no_table():
    step, optimizer, _, offsets = make("deepfm", SETTINGS, IN_PLACE)
    others = set(threading.enumerate())  # of other tests' steps and services
    ids, numbers, labels = next(batches())
    step(ids + offsets, numbers, labels)
    ours = {thread for thread in set(threading.enumerate()) - others if thread.name.startswith(("rows", "taking"))}
    assert ours
    step.close()
    assert not ours & set(threading.enumerate())
    assert optimizer.rows.weight.size == 0
