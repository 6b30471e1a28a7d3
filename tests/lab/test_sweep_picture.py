"""The picture of a sweep's folder, from runs with figures on one split or the other, or on none."""

from __future__ import annotations

import pytest

from ctrfast import sweep_cli
from ctrfast.errors import DataError
from ctrfast.lab import sweep_picture
from ctrfast.lab.sweep_picture import picture_sweep
from tests.lab.frames import run_rows


@pytest.mark.parametrize("split", ["test", "valid"])
def test_auc_and_log_loss_of_a_split(split, tmp_path, monkeypatch):
    frame = run_rows().rename(columns={"test_auc": f"{split}_auc"})
    monkeypatch.setattr(sweep_picture, "runs", lambda folder: frame.assign(**{f"{split}_log_loss": 0.5}))
    assert picture_sweep(tmp_path) == tmp_path / "auc_by_batch_size.png"
    assert (tmp_path / "auc_by_batch_size.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_without_figures_there_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_picture, "runs", lambda folder: run_rows().drop(columns="test_auc"))
    with pytest.raises(DataError, match="valid_auc"):
        picture_sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_says_why_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep_picture, "runs", lambda folder: run_rows().assign(test_auc=None))
    sweep_cli._picture(tmp_path)
    assert "no picture: At least one run must have `test_auc`" in capsys.readouterr().out
