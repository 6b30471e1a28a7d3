"""The figures of a window by hand, and a window that a checkpoint cut off."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.loop.step_window import StepWindow

STEPS = [(0.5, [4.0, 2.0], [1.0, 0.0]), (0.25, [4.0, 0.0], [3.0, 0.0])]


def fill(window, steps):
    for loss, present, clipped in steps:
        window.add((tf.constant(loss), tf.constant(present), tf.constant(clipped)), rows=8, waited_s=0.0)
    return window


def test_figures_by_hand():
    record = fill(StepWindow(("a", "b")), STEPS).record()
    assert record["loss"] == 0.375
    assert record["clipped_share"] == pytest.approx(4 / 10)
    assert record["clipped_share_by_field"] == {"a": 0.5, "b": 0.0}
    assert record["rows_per_s"] > 0
    assert record["input_wait_share"] == 0


def test_a_window_cut_in_two_gives_the_same_figures():
    first = fill(StepWindow(("a", "b")), STEPS[:1])
    second = fill(StepWindow(("a", "b"), first.tensors()), STEPS[1:])
    whole = fill(StepWindow(("a", "b")), STEPS)
    assert len(second) == 2
    for name, value in whole.tensors().items():
        np.testing.assert_array_equal(second.tensors()[name], value)
    timed = {"rows_per_s", "input_wait_share"}
    assert {n: v for n, v in second.record().items() if n not in timed} == {
        n: v for n, v in whole.record().items() if n not in timed
    }


def test_an_empty_window_has_empty_tensors():
    tensors = StepWindow(("a", "b")).tensors()
    assert [value.shape for value in tensors.values()] == [(0,), (0, 2), (0, 2)]
    assert len(StepWindow(("a", "b"), tensors)) == 0
