"""What counts as one output for all rows, and what is no number; training meets both in `test_train_watch`."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.errors import TrainingError
from ctrfast.loop.divergence import check_figures, check_loss, check_output, check_weights


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
