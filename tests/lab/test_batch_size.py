"""Pictures against the batch size: what is drawn is what numpy makes of the frame."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from ctrfast.errors import ConfigError, DataError
from ctrfast.lab import PUBLISHED_AUC, draw_auc_by_batch_size, draw_by_batch_size, draw_change_by_scale
from tests.lab.frames import drawn, marks, run_rows, texts, whiskers


def test_means_and_spread_over_seeds_by_rule():
    frame = run_rows()
    (axes,) = draw_by_batch_size(frame).axes
    lines = drawn(axes)
    assert set(lines) == {"none", "cowclip"}
    for bars, (rule, (x, y)) in zip(whiskers(axes), lines.items(), strict=True):
        values = [frame[(frame["scaling.rule"] == rule) & (frame["batch_size"] == size)]["test_auc"] for size in x]
        assert x == [128, 1024]
        assert y == pytest.approx([np.mean(each) for each in values])
        ends = [(np.mean(each) - np.std(each, ddof=1), np.mean(each) + np.std(each, ddof=1)) for each in values]
        np.testing.assert_allclose(bars, ends)
    points = [line for line in axes.lines if line.get_marker() == "."]
    assert sorted(y for line in points for y in line.get_ydata()) == sorted(frame["test_auc"])
    assert len(set(marks(axes))) == 2
    assert "Test AUC against batch size" in texts(axes)
    assert "batch size (rows)" in texts(axes)
    assert "one sd over the seeds" in texts(axes)


def test_one_seed_has_no_whiskers_and_failed_runs_are_left_out():
    frame = run_rows(rules=("none",), seeds=(1,))
    frame.loc[1, "test_auc"] = np.nan
    (axes,) = draw_by_batch_size(frame).axes
    assert drawn(axes) == {"all runs": ([128], [pytest.approx(0.8 - 128e-6 + 0.001)])}


def test_units_of_a_log_loss_and_axes_of_ones_own():
    axes = Figure().add_subplot()
    frame = run_rows().rename(columns={"test_auc": "test_log_loss"})
    assert draw_by_batch_size(frame, "test_log_loss", axes=axes) is axes.figure
    assert "test log loss (nats)" in texts(axes)


def test_change_from_each_lines_own_base_with_the_published_one():
    frame = run_rows(sizes=(128, 16384))
    (axes,) = draw_change_by_scale(frame, published="criteo").axes
    lines = drawn(axes)
    for rule in ("none", "cowclip"):
        assert lines[rule][0] == [1, 128]
        assert lines[rule][1] == pytest.approx([0, -(16384 - 128) / 1e6])
    (told,) = set(lines) - {"none", "cowclip"}
    assert told == "published: DeepFM, CowClip, all of Criteo"
    assert lines[told][0] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert lines[told][1] == pytest.approx(np.array(list(PUBLISHED_AUC["criteo"].values())) - 0.8086)


def test_change_from_one_rules_base():
    (axes,) = draw_change_by_scale(run_rows(), base_rule="none").axes
    lines = drawn(axes)
    assert lines["none"][1] == pytest.approx([0, -0.000896])
    assert lines["cowclip"][1] == pytest.approx([-0.01, -0.010896])
    assert "base runs of the rule none" in texts(axes)


def test_the_base_is_that_of_the_same_network():
    import pandas as pd

    dcn = run_rows(**{"model.name": "dcn"})
    dcn["test_auc"] += 0.05
    both = pd.concat([run_rows(**{"model.name": "deepfm"}), dcn])
    lines = drawn(draw_change_by_scale(both, base_rule="none").axes[0])
    assert lines["none, dcn"][1] == pytest.approx(lines["none, deepfm"][1])


def test_a_rule_looks_alike_in_all_pictures():
    def look(rules):
        (axes,) = draw_by_batch_size(run_rows(rules=rules)).axes
        return dict(zip(drawn(axes), marks(axes), strict=True))

    assert list(look(("cowclip", "linear", "none"))) == ["none", "linear", "cowclip"]
    assert look(("cowclip", "none"))["cowclip"] == look(("linear", "cowclip", "sqrt"))["cowclip"]


def test_side_by_side():
    left, right = draw_auc_by_batch_size(run_rows(), base_rule="none").axes
    assert drawn(left)["none"][1][0] == pytest.approx(0.8 - 128e-6 + 0.002)
    assert drawn(right)["none"][1][0] == pytest.approx(0)


def test_references_are_dashed_lines_of_their_own():
    points = {512: 0.79, 4096: 0.8}
    (axes,) = draw_by_batch_size(run_rows(rules=("none",)), references={"published": points}).axes
    assert drawn(axes)["published"] == (list(points), list(points.values()))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["128", "512", "1,024", "4,096"]


def log_losses(**means):
    """Four rules at four sizes, near 0.48; and a mean of some rules at the largest."""
    frame = run_rows(rules=("none", "sqrt", "linear", "cowclip"), sizes=(128, 256, 512, 1024), seeds=(1, 2))
    frame["test_log_loss"] = 0.47 + frame["batch_size"] / 1e5 + 0.001 * frame["seed"]
    for rule, mean in means.items():
        is_last = (frame["scaling.rule"] == rule) & (frame["batch_size"] == 1024)
        frame.loc[is_last, "test_log_loss"] = mean + 0.1 * (frame["seed"] - 1.5)
    return frame


def test_a_rule_that_diverged_does_not_flatten_the_others():
    (axes,) = draw_by_batch_size(log_losses(linear=1.37), "test_log_loss").axes
    low, high = axes.get_ylim()
    assert 0.46 < low < 0.4727 < 0.4818 < high < 0.5
    assert drawn(axes)["linear"][1][-1] == pytest.approx(1.37)  # drawn all the same, out of the picture
    assert [text.get_text() for text in axes.texts] == ["linear: 1.37 ↑"]
    (axes,) = draw_by_batch_size(log_losses(linear=1.37, sqrt=0.2), "test_log_loss").axes
    assert [text.get_text() for text in axes.texts] == ["linear: 1.37 ↑", "sqrt: 0.2 ↓"]
    assert axes.get_ylim()[0] > 0.4


def test_a_reference_stays_in_the_picture_beside_a_far_mean():
    points = {128: 0.44, 1024: 0.52}
    (axes,) = draw_by_batch_size(log_losses(linear=1.37), "test_log_loss", references={"published": points}).axes
    low, high = axes.get_ylim()
    assert 0.4 < low < 0.44 < 0.52 < high < 0.6
    assert [text.get_text() for text in axes.texts] == ["linear: 1.37 ↑"]


def test_what_is_not_far_is_shown():
    (axes,) = draw_by_batch_size(log_losses(linear=0.5), "test_log_loss").axes
    assert not axes.texts
    assert axes.get_ylim()[1] > 0.55
    (axes,) = draw_by_batch_size(run_rows(rules=("none",), seeds=(1,)).assign(test_auc=0.7)).axes  # quartiles agree
    assert not axes.texts


def test_a_name_is_no_formula(tmp_path):
    figure = draw_by_batch_size(run_rows(rules=("$\\frac$", "none")))
    figure.savefig(tmp_path / "picture.png")


def test_a_line_never_mixes_settings():
    import pandas as pd

    mixed = pd.concat([run_rows(**{"optimizer.l2": 1e-5}), run_rows(**{"optimizer.l2": None})])
    assert set(drawn(draw_by_batch_size(mixed).axes[0])) == {
        "none, l2 1e-05", "none, l2 not set", "cowclip, l2 1e-05", "cowclip, l2 not set",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"none also differ in optimizer\.l2\. Filter") as caught:
        draw_by_batch_size(mixed, by=["scaling.rule"])
    assert caught.value.path == "optimizer.l2"


@pytest.mark.parametrize(
    "draw, words, path",
    [
        (lambda: draw_by_batch_size(run_rows().head(0)), "at least one row", None),
        (lambda: draw_by_batch_size(run_rows(), "test_ndcg"), "must have the column `test_ndcg`", "test_ndcg"),
        (lambda: draw_by_batch_size(run_rows().assign(test_auc=None)), "At least one run must have `test_auc`", None),
        (lambda: draw_by_batch_size(run_rows(rules=list(map(str, range(13))))), "at most 12 lines. Got 13", "by"),
        (lambda: draw_by_batch_size(run_rows(), by=["scaling.base"]), "column `scaling.base`", "scaling.base"),
        (lambda: draw_change_by_scale(run_rows(sizes=(256,))), "none at the base batch size", "plan.scale"),
        (lambda: draw_change_by_scale(run_rows(), base_rule="sqrt"), "the rule sqrt at the base", "plan.scale"),
        (lambda: draw_change_by_scale(run_rows(), "epoch_s", published="criteo"), "holds AUC alone", "published"),
        (lambda: draw_auc_by_batch_size(run_rows().drop(columns="plan.scale")), "plan.scale", "plan.scale"),
    ],
)
def test_unfit_frames_are_refused(draw, words, path):
    with pytest.raises(DataError, match=words) as caught:
        draw()
    assert caught.value.path == path


def test_an_unknown_table_is_refused():
    with pytest.raises(ConfigError, match="Unknown published table 'criteo_1tb'"):
        draw_change_by_scale(run_rows(), published="criteo_1tb")
