"""Times against the batch size, and the front of the best, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from ctrfast.errors import DataError
from ctrfast.lab import draw_epoch_time, draw_pareto, draw_time_to_auc, time_to_auc
from ctrfast.lab.training_time import pareto_front
from tests.lab.frames import curve_rows, drawn, run_rows, texts


def test_seconds_per_epoch():
    (axes,) = draw_epoch_time(run_rows(rules=("none",))).axes
    assert drawn(axes)["all runs"][1] == pytest.approx([200 / 128, 200 / 1024])
    assert axes.get_yscale() == "log"
    with pytest.raises(DataError, match="epoch_s"):
        draw_epoch_time(run_rows().assign(epoch_s=None))


def test_the_first_evaluation_at_the_target_counts():
    """Seed 1 is at 0.71 after 20 s and at 0.81 after 40 s; seed 2 at 0.72 after 40 s and at 0.82 after 80 s."""
    curves = pd.concat([curve_rows(size=128), curve_rows(size=256, seeds=(1,))])
    reached = time_to_auc(curves, 0.715).set_index("folder")["train_s"]
    assert dict(reached) == {"runs/none-1-128": 40.0, "runs/none-2-128": 40.0, "runs/none-1-256": 40.0}
    (axes,) = draw_time_to_auc(curves, 0.815).axes
    assert drawn(axes) == {"all runs: 1 of 3 runs": ([128.0], [80.0])}
    assert "Time to a validation AUC of 0.815" in texts(axes)


@pytest.mark.parametrize(
    "auc, words", [(0.83, "The best is 0.8200"), (0.5, r"in \(0.5, 1\)"), (75.0, r"in \(0.5, 1\)")]
)
def test_a_target_out_of_reach_is_refused(auc, words):
    with pytest.raises(DataError, match=words):
        draw_time_to_auc(curve_rows(), auc)


def test_runs_without_seconds_are_refused():
    with pytest.raises(DataError, match="train_s"):
        draw_time_to_auc(curve_rows().drop(columns="train_s"), 0.7)


def test_the_front_of_some_points():
    points = np.array([[3.0, 0.7], [1.0, 0.6], [2.0, 0.6], [2.0, 0.65], [4.0, 0.7], [5.0, 0.8]])
    np.testing.assert_array_equal(pareto_front(points), [[1, 0.6], [2, 0.65], [3, 0.7], [5, 0.8]])


def test_means_of_auc_and_seconds_and_their_front():
    (axes,) = draw_pareto(run_rows()).axes
    lines = drawn(axes)
    none, cowclip = lines["none"], lines["cowclip"]
    assert none[0] == pytest.approx([2000 / 128, 2000 / 1024])
    assert none[1] == pytest.approx([0.802 - 128e-6, 0.802 - 1024e-6])
    assert cowclip[1] == pytest.approx([0.792 - 128e-6, 0.792 - 1024e-6])
    assert lines["front"] == (none[0][::-1], none[1][::-1])
    assert sorted(text.get_text() for text in axes.texts) == ["1,024", "1,024", "128", "128"]


def test_labels_of_points_that_lie_together_do_not():
    """Eleven points within some pixels of each other, and a far one; the boxes are those that matplotlib draws."""
    frame = run_rows(rules=("none", "cowclip"), sizes=(128, 256, 512, 1024, 2048, 4096), seeds=(1,))
    frame["seconds"] = 20 + frame["batch_size"] / 1e4
    frame["test_auc"] = 0.76 + frame["batch_size"] / 1e6
    frame.loc[0, ["seconds", "test_auc"]] = 40.0, 0.66
    figure = draw_pareto(frame)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their thin lines
    assert sorted(text.get_text() for text in axes.texts) == sorted(f"{size:,}" for size in frame["batch_size"])
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_references_of_epoch_times():
    (axes,) = draw_epoch_time(run_rows(rules=("none",)), references={"published": {512: 3.0}}).axes
    assert drawn(axes)["published"] == ([512], [3.0])
