"""Curves over the epochs, and figures by field: the data of the lines, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ctrfast.errors import ConfigError, DataError
from ctrfast.lab import draw_clipped_share, draw_embedding_norm, draw_learning_curves
from tests.lab.frames import curve_rows, drawn, marks, texts


def vertical(axes):
    """Where the epoch boundaries are."""
    return [
        line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]


def test_validation_auc_by_rule_with_bands():
    (axes,) = draw_learning_curves(curve_rows(rules=("none", "sqrt"))).axes
    lines = drawn(axes)
    assert lines["none"] == lines["sqrt"]
    assert lines["none"][0] == [1, 2]
    assert lines["none"][1] == pytest.approx([0.715, 0.815])
    assert vertical(axes) == [1, 2]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    sd = np.std([0.71, 0.72], ddof=1)
    assert (band.min(), band.max()) == pytest.approx((0.715 - sd, 0.815 + sd))
    assert len(set(marks(axes))) == 2
    assert "Validation AUC over the epochs" in texts(axes)


def test_the_training_loss():
    (axes,) = draw_learning_curves(curve_rows(seeds=(1,)), "loss").axes
    (line,) = drawn(axes).values()
    assert line[0] == [0.5, 1, 1.5, 2]
    assert line[1] == pytest.approx([1.1, 0.6, 1 / 3 + 0.1, 0.35])
    assert not axes.collections
    assert "training loss (nats)" in texts(axes)


def test_clipped_shares_name_the_highest_and_show_the_rest():
    fields = tuple("abcdefg")
    (axes,) = draw_clipped_share(curve_rows(fields=fields)).axes
    lines = drawn(axes)
    assert list(lines) == ["the other 2 fields", "all fields", "g", "f", "e", "d", "c"]
    assert lines["g"][1] == pytest.approx([0.7, 1.4, 2.1, 2.8])
    assert lines["all fields"][1] == pytest.approx([0.15, 0.3, 0.45, 0.6])
    (axes,) = draw_clipped_share(curve_rows(fields=fields), fields=["b"]).axes
    assert list(drawn(axes)) == ["the other 6 fields", "all fields", "b"]


def test_clipped_shares_begin_at_0():
    never = curve_rows()
    never.loc[:, [name for name in never.columns if name.startswith("clipped_share")]] *= 0
    (axes,) = draw_clipped_share(never).axes
    assert axes.get_ylim() == (0, 1)
    (axes,) = draw_clipped_share(curve_rows()).axes
    assert axes.get_ylim()[0] == 0
    assert 0.8 < axes.get_ylim()[1] < 0.9


def test_embedding_norms():
    (axes,) = draw_embedding_norm(curve_rows()).axes
    lines = drawn(axes)
    assert lines["a"] == ([1, 2], [3.5, 5.5])
    assert lines["b"] == ([1, 2], [4.5, 6.5])
    assert "root mean square" in texts(axes)


@pytest.mark.parametrize(
    "draw, words, path",
    [
        (lambda: draw_learning_curves(curve_rows().head(0)), "at least one row", None),
        (lambda: draw_learning_curves(curve_rows(), "ndcg"), "column `ndcg`", "ndcg"),
        (lambda: draw_learning_curves(curve_rows(), split="test"), "must have `auc` and `epoch`", None),
        (lambda: draw_clipped_share(curve_rows(rules=("none", "sqrt"))), "also differ in scaling.rule", "scaling.rule"),
        (lambda: draw_embedding_norm(curve_rows(fields=())), "embedding_norm", "embedding_norm.*"),
    ],
)
def test_unfit_frames_are_refused(draw, words, path):
    with pytest.raises(DataError, match=words) as caught:
        draw()
    assert caught.value.path == path


def test_an_unknown_field_is_refused():
    with pytest.raises(ConfigError, match="Unknown id table 'z'"):
        draw_clipped_share(curve_rows(), fields=["z"])
