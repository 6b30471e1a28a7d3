"""Rows that are updated later end at the same bits; threads, ranges and parts of a batch change nothing."""

import numpy as np
import pytest

import ctrfast.optim.row_table as row_table
from ctrfast.errors import DataError
from ctrfast.optim.row_table import RowTable
from ctrfast.optim.step_settings import StepSettings

SETTINGS = {
    "lr_dense": 1e-3,
    "lr_embed": 1e-3,
    "l2": 1e-3,
    "clip": "adaptive_column",
    "clip_ratio": 0.01,
    "bound": 1e-2,
    "warmup_steps": 0,
    "total_steps": 100,
}
SIZES = [3, 700, 60]
STARTS = [0, 3, 703]
W, B, STEPS = 7, 32, 60


@pytest.fixture(autouse=True, params=[False, True], ids=["later", "whole"])
def _form(request, monkeypatch):
    monkeypatch.setattr(row_table, "_MANY", 0.0 if request.param else 1.0)


def make(threads=None, monkeypatch=None, **settings):
    if threads:
        monkeypatch.setattr(row_table, "threads", lambda: threads)
    start = np.random.default_rng(1).normal(0, 0.1, (sum(SIZES), W)).astype(np.float32)
    return RowTable(StepSettings(**(SETTINGS | settings)), start, STARTS, B * len(SIZES))


def run(table, *, settle_each=False, parts=1, beside=True):
    """Steps on batches that leave most rows out; the sums of present and clipped rows."""
    rng = np.random.default_rng(2)
    totals = np.zeros((2, len(SIZES)))
    for step in range(STEPS):
        ids = ((rng.random((B, len(SIZES))) ** 4 * SIZES) + STARTS).astype(np.int32)
        gradients = (rng.normal(size=(B, len(SIZES), W)) * 0.05 / B).astype(np.float32)
        for part in np.array_split(np.arange(B), parts):
            rows = table.take(ids[part])
            np.testing.assert_array_equal(rows, table.weight[ids[part]])
            if beside and part[-1] == B - 1:
                table.settle_some()
            table.add(ids[part], gradients[part])
        totals += table.update(1e-3 / (step + 1))
        if settle_each:
            table.settle()
    table.settle()
    return totals


def test_both_forms_end_at_the_same_bits(monkeypatch):
    one, (present, clipped) = make(), run(make())
    run(one)
    for many in (0.0, 1.0):
        monkeypatch.setattr(row_table, "_MANY", many)
        other = make()
        np.testing.assert_array_equal(run(other), [present, clipped])
        assert_same(one, other)


def test_rows_are_settled_in_time_whoever_asks():
    one, other = make(), make()
    run(one)
    run(other, beside=False)
    assert_same(one, other)


def test_what_a_broken_step_added_is_forgotten():
    one, other = make(), make()
    ids = np.array([[0, 3, 703], [1, 3, 704]], np.int32)
    other.take(ids)
    other.add(ids, np.ones((2, 3, W), np.float32))
    other.forget()
    np.testing.assert_array_equal(run(other), run(one))
    assert_same(one, other)


def assert_same(one, two):
    for name in ("weight", "first", "second"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@pytest.mark.parametrize("settings", [{}, {"clip": "none"}, {"l2": 0.0}, {"update": "sparse"}], ids=str)
def test_a_step_that_waits_ends_at_the_same_bits(settings):
    at_once, later = make(**settings), make(**settings)
    totals = run(at_once, settle_each=True)
    np.testing.assert_array_equal(run(later), totals)
    assert_same(at_once, later)
    assert totals[0].min() > STEPS  # of each table, rows were present ...
    if settings.get("clip") != "none":
        assert 0 < totals[1].sum() < totals[0].sum()  # ... and some, not all, were clipped


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_parts_of_a_batch_change_no_bit(threads, monkeypatch):
    plain, other = make(1, monkeypatch), make(threads, monkeypatch)
    totals = run(plain)
    np.testing.assert_array_equal(run(other, parts=threads), totals)
    assert_same(plain, other)


def test_absent_rows_take_each_step_with_its_own_rate():
    """A row of one number, by Adam's formula in float64."""
    table = make(clip="none", clip_ratio=None, bound=None)
    absent = 500
    w = table.weight[absent].astype(np.float64)
    m, v = np.zeros(W), np.zeros(W)
    ids = np.zeros((B, 1), np.int32)
    for step in range(40):
        rate = 1e-3 * (1 + step % 3)
        table.take(ids)
        table.settle_some()
        table.add(ids, np.zeros((B, 1, W), np.float32))
        table.update(rate)
        gradient = 2 * SETTINGS["l2"] * w
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - rate * m / (np.sqrt(v) + 1e-7)
    table.settle()
    np.testing.assert_allclose(table.weight[absent], w, rtol=0, atol=1e-5)
    assert np.abs(w - make().weight[absent]).max() > 0.01


def test_a_caller_that_never_settles_loses_no_rate():
    """The rates of more steps than are kept."""
    told, untold = make(), make()
    ids = np.zeros((B, 1), np.int32)
    for step in range(STEPS):
        for table in (told, untold):
            table.take(ids)
            if table is told:
                table.settle_some()
            table.add(ids, np.full((B, 1, W), 1e-3, np.float32))
            table.update(1e-3 / (step + 1))
    told.settle()
    untold.settle()
    assert_same(told, untold)


def test_moments_that_fade_become_zero_and_stay():
    table = make(l2=0.0)
    ids = np.full((B, 1), 5, np.int32)
    table.take(ids)
    table.add(ids, np.full((B, 1, W), 1e-30, np.float32))
    table.update(1e-3)
    for _ in range(400):
        table.take(np.zeros((B, 1), np.int32))
        table.settle_some()
        table.add(np.zeros((B, 1), np.int32), np.zeros((B, 1, W), np.float32))
        table.update(1e-3)
    table.settle()
    assert not table.first[5].any()


def test_a_gradient_that_is_no_number_stays_one():
    table = make(l2=0.0)
    ids = np.full((B, 1), 5, np.int32)
    table.take(ids)
    table.add(ids, np.full((B, 1, W), np.nan, np.float32))
    table.update(1e-3)
    run(table)
    assert np.isnan(table.weight[5]).all()
    assert np.isfinite(table.weight[:3]).all()


@pytest.mark.parametrize("bad", [-1, sum(SIZES)])
def test_an_id_beyond_the_table_is_refused(bad):
    with pytest.raises(DataError, match=rf"Ids must be rows of the table, 0 to {sum(SIZES) - 1}\. Got"):
        make().take(np.array([[0, bad]], np.int32))
