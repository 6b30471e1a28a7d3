"""What the optimizer of the table keeps, and where sparse updates part from dense ones."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.optim.scaling import make_plan
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.table_optimizer import TableOptimizer

START = np.random.default_rng(3).normal(0, 0.1, (6, 3)).astype(np.float32)
OFFSETS = [0, 4]
PLAIN = {"lr_dense": 0.01, "lr_embed": 0.01, "l2": 0.0, "clip": "none", "warmup_steps": 0, "total_steps": 10}


def make(dense=(), **settings):
    table = tf.Variable(START)
    return TableOptimizer(
        StepSettings(**(PLAIN | settings)), table, OFFSETS, [], [tf.Variable(value) for value in dense]
    )


def step(optimizer, ids, *, seed=0):
    """One step with random row gradients; ids (B, 2)."""
    ids = np.array(ids, np.int32)
    gradients = np.random.default_rng(seed).normal(size=(*ids.shape, 3)).astype(np.float32)
    dense = [tf.ones_like(variable) for variable in optimizer.dense]
    return optimizer.apply(tf.constant(ids), tf.constant(gradients), dense)


@pytest.mark.parametrize(
    "name, slots", [("adam", ["first", "second"]), ("lamb", ["first", "second"]), ("lars", ["first"])]
)
def test_a_checkpoint_holds_the_slots_of_the_optimizer_and_no_other(name, slots):
    state = make([np.ones(2, np.float32)], optimizer=name).state()
    expected = [f"{of}{slot}" for of in ("table", "dense.00") for slot in ("", *(f".{slot}" for slot in slots))]
    assert sorted(state) == sorted(["step", "decay", *expected])
    assert state["table.first"].shape == (6, 3)
    assert state["dense.00.first"].shape == (2,)


def test_a_reduced_rate_holds_from_the_next_step_on_and_for_all_weights():
    plain, reduced = make([np.zeros(1, np.float32)]), make([np.zeros(1, np.float32)])
    reduced.reduce_rate(0.5)
    reduced.reduce_rate(0.5)
    assert float(reduced.state()["decay"]) == 0.25
    for optimizer in (plain, reduced):
        step(optimizer, [[0, 4], [1, 5]])
    np.testing.assert_allclose(reduced.table - START, 0.25 * (plain.table - START), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(reduced.dense[0], 0.25 * plain.dense[0], rtol=1e-6)


def test_sparse_updates_part_from_dense_ones_after_an_absence():
    dense, sparse = make(), make(update="sparse")
    for optimizer in (dense, sparse):
        present, clipped = step(optimizer, [[0, 4], [0, 5]])
        assert present.numpy().tolist() == [1, 2]
        assert clipped.numpy().tolist() == [0, 0]
    np.testing.assert_allclose(sparse.table, dense.table, rtol=0, atol=1e-7)  # no moments yet, and no L2
    for optimizer in (dense, sparse):
        before = optimizer.table.numpy()
        step(optimizer, [[1, 4], [1, 4]], seed=1)
        moved = np.abs(optimizer.table.numpy() - before).max(axis=1) > 1e-4
        absent = [0, 5]  # seen in the first step
        assert moved[absent].tolist() == [optimizer is dense] * 2
        assert moved[[1, 4]].all()
    assert int(sparse.state()["step"]) == 2
    np.testing.assert_array_equal(sparse.state()["table.first"][2:4], np.zeros((2, 3)))


def test_sparse_updates_decay_present_rows_alone():
    sparse, dense = make(update="sparse", l2=0.1), make(l2=0.1)
    for optimizer in (dense, sparse):
        step(optimizer, [[0, 4]])
    changed = [np.abs(optimizer.table.numpy() - START).max(axis=1) > 0 for optimizer in (dense, sparse)]
    assert changed[0].all()
    assert changed[1].tolist() == [True, False, False, False, True, False]
    np.testing.assert_allclose(sparse.table.numpy()[[0, 4]], dense.table.numpy()[[0, 4]], rtol=0, atol=1e-7)


@pytest.mark.parametrize("update", ["dense", "sparse"])
def test_sums_of_parts_of_a_batch_take_the_step_of_the_whole(update):
    clip = {"clip": "adaptive_column", "clip_ratio": 1.0, "bound": 1e-3, "l2": 0.1, "update": update}
    whole, parts = (make([np.zeros(2, np.float32)], **clip) for _ in range(2))
    ids = np.array([[0, 4], [1, 4], [1, 5], [0, 4]], np.int32)
    for seed in range(3):
        gradients = np.random.default_rng(seed).normal(size=(4, 2, 3)).astype(np.float32)
        dense = [tf.ones(2)]
        figures = whole.apply(tf.constant(ids), tf.constant(gradients), dense)
        sums = sum(parts.sum_rows(ids[part], gradients[part]) for part in (slice(0, 1), slice(1, 4)))
        of_parts = parts.apply_sums(sums, dense)
        np.testing.assert_array_equal(of_parts, figures)
    assert float(figures[1][0]) > 0  # rows were clipped
    for name, value in whole.state().items():
        np.testing.assert_allclose(parts.state()[name], value, rtol=0, atol=1e-6, err_msg=name)


def test_a_lamb_run_leaves_biases_without_a_trust_ratio():
    optimizer = make([np.full((2, 1), 5.0, np.float32), np.full(2, 5.0, np.float32)], optimizer="lamb")
    step(optimizer, [[0, 4]])
    np.testing.assert_allclose(optimizer.dense[0], np.full((2, 1), 5 - 0.01 * 5), rtol=1e-5)
    np.testing.assert_allclose(optimizer.dense[1], np.full(2, 5 - 0.01), rtol=1e-5)


def test_settings_of_a_plan_know_the_length_of_the_run():
    config = parse_config(
        {"optimizer": {"clip": "column", "clip_norm": 0.5, "lr_decay": "cosine", "warmup_epochs": 0.5}, "epochs": 3}
    )
    settings = StepSettings.of(make_plan(config, "criteo"), steps_per_epoch=100, epochs=config.epochs)
    assert (settings.warmup_steps, settings.total_steps) == (50, 300)
    assert (settings.clip, settings.clip_norm, settings.clip_ratio, settings.bound) == ("column", 0.5, None, None)
    assert (settings.optimizer, settings.lr_decay, settings.update) == ("adam", "cosine", "dense")
    assert settings.beta_1 == 0.9


def test_settings_of_an_adaptive_plan_have_its_momentum_and_decay():
    config = parse_config({"batch_size": 8192, "scaling": {"rule": "adaptive"}})
    settings = StepSettings.of(make_plan(config, "criteo"), steps_per_epoch=10, epochs=5)
    assert (settings.beta_1, settings.lr_decay, settings.warmup_steps) == (0.5, "cooldown", 10)


@pytest.mark.parametrize("update", ["dense", "sparse"])
def test_lists_of_parts_of_a_batch_take_its_step(update):
    whole, parts = (
        make([np.ones(2, np.float32)], update=update, l2=0.1, clip="adaptive_column", clip_ratio=0.05, bound=1.0)
        for _ in range(2)
    )
    rng = np.random.default_rng(8)
    dense = [tf.constant([1.0, -2.0])]
    for _ in range(3):
        ids = np.stack([rng.integers(0, 4, 9), rng.integers(4, 6, 9)], axis=1).astype(np.int32)  # (9, 2)
        gradients = rng.normal(size=(9, 2, 3)).astype(np.float32)
        expected = whole.apply(tf.constant(ids), tf.constant(gradients), dense)
        cuts = [slice(0, 2), slice(2, 3), slice(3, 9)]  # lists of several lengths
        lists = tf.concat([parts.list_sums(tf.constant(ids[c]), tf.constant(gradients[c])) for c in cuts], axis=0)
        got = parts.apply_lists(lists, dense, ids.size)
        for one, other in zip(expected, got, strict=True):
            np.testing.assert_array_equal(one, other)
    for name, value in whole.state().items():
        np.testing.assert_allclose(parts.state()[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
