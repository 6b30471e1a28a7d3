"""What counts as one output for all rows, and what is no number; training meets both in `test_train_watch`."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.errors import TrainingError
from ctrfast.loop.divergence import check_entropy, check_figures, check_loss, check_output, check_weights
from ctrfast.metrics import Predictions


@pytest.mark.parametrize(
    "lowest, highest", [(0.3, 0.3), (-1.0, -1.0 + 1e-7), (1e4, 1e4 + 1e-3), (-300, -150), (30, 90)]
)
def test_one_output_for_all_rows_is_refused(lowest, highest):
    with pytest.raises(TrainingError, match=r"All 100 valid rows get the same probability, .* after step 7"):
        check_output("valid", lowest, highest, rows=100, step=7)


@pytest.mark.parametrize("lowest, highest, rows", [(0.3, 0.301, 10**6), (-80, -60, 100), (0.3, 0.3, 99)])
def test_outputs_that_differ_or_are_few_pass(lowest, highest, rows):
    check_output("valid", lowest, highest, rows=rows, step=7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(bad):
    for check in (
        lambda: check_loss(bad, 1200),
        lambda: check_figures("test", {"auc": 0.5, "log_loss": bad}, 1200),
        lambda: check_weights([tf.Variable([0.0]), tf.Variable([1.0, bad])], 1200),
        lambda: check_weights([np.ones((3, 2), np.float32), np.array([[1.0, bad]], np.float32)], 1200),
    ):
        with pytest.raises(TrainingError, match=r"step 1,200\. Lower optimizer"):
            check()


def test_finite_figures_pass():
    check_loss(0.4, 1)
    check_figures("test", {"log_loss": 0.4}, 1)
    check_weights([tf.Variable([0.0, 1e30]), np.array([1e30], np.float32)], 1)


def figures_of(labels, logits, tasks=()):
    predictions = Predictions(tasks=tasks)
    predictions.add(labels, logits)
    return predictions.metrics()


def test_a_log_loss_far_above_that_of_the_label_rate_is_refused():
    """Half the labels are 1, whose entropy is ln 2; logits of the wrong sign cost their size each."""
    labels = np.arange(200) % 2
    check_entropy("valid", figures_of(labels, np.where(labels, -6.9, 6.9)), 7)  # 6.9 / ln 2 is 9.96
    with pytest.raises(
        TrainingError, match=r"valid log loss is 7\.101 after step 7, 10\.24 times that of always answering"
    ):
        check_entropy("valid", figures_of(labels, np.where(labels, -7.1, 7.1)), 7)


def test_each_of_several_labels_is_judged():
    labels = np.stack([np.arange(200) % 2, np.arange(200) // 2 % 2], axis=1)
    logits = np.stack([np.zeros(200), np.where(labels[:, 1], -8e8, 8e8)], axis=1)
    with pytest.raises(TrainingError, match=r"The test, buy log loss is 8e\+08 after step 1,200, 1\.154e\+09 times"):
        check_entropy("test", figures_of(labels, logits, ("click", "buy")), 1200)


@pytest.mark.parametrize("logit", [0.0, 1.5])
def test_a_network_that_has_hardly_begun_is_no_divergence_where_clicks_are_rare(logit):
    labels = np.arange(1000) == 0
    figures = figures_of(labels, np.full(1000, logit))
    assert figures["normalised_entropy"] > 80
    check_entropy("valid", figures, 1)
    check_entropy("valid", figures_of(np.zeros(1000), np.full(1000, logit)), 1)  # without a click there is no ratio
