"""A split without rows: nothing is sent between workers."""

import pytest

from ctrfast.loop.split_evaluation import evaluate_split
from ctrfast.workers import Workers
from tests import tiny_clicks


class Two(Workers):
    """One of two workers, whose join would end both by a segmentation fault (TensorFlow 2.21, `RingGatherer`)."""

    def join(self, rows):
        pytest.fail(f"{len(rows)} rows were sent")


def test_a_split_without_rows_is_not_gathered(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(300), test_fraction=0.0)
    assert dataset.rows("test") == 0
    labels, _ = evaluate_split(None, dataset, "test", Two(index=1, size=2)).arrays()
    assert len(labels) == 0
