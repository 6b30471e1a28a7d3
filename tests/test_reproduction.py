"""`ctrfast reproduce RUN`: the same bits come out again, and what differs is said."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.reproduce_cli import _kept_or_not, _print_reproduction
from ctrfast.reproduction import changes_since, compare_receipts, reproduce_run
from ctrfast.run import Run
from ctrfast.train import train
from tests.tiny_clicks import learnable, make_dataset, same_run, settings


@pytest.fixture(scope="module")
def start(tiny_dataset, tmp_path_factory):
    """The run that `first` begins with."""
    out = tmp_path_factory.mktemp("reproduced") / "start"
    train(tiny_dataset, settings(epochs=1), out)
    return out


@pytest.fixture(scope="module")
def first(tiny_dataset, start):
    train(tiny_dataset, settings(epochs=2), start.with_name("first"), warm_start=start)
    return start.with_name("first")


@pytest.fixture(scope="module")
def again(first, start, tiny_dataset):
    """`first` made again, and what was told of it."""
    out = start.with_name("again")
    return out, reproduce_run(first, tiny_dataset.path, out, warm_start=start)


def edited(run, folder, **changes):
    """A copy of a run whose receipt says something else."""
    copy = folder / "edited"
    shutil.copytree(run, copy)
    receipt = json.loads((copy / "receipt.json").read_text())
    (copy / "receipt.json").write_text(json.dumps({**receipt, **changes}))
    return copy


def test_the_same_bits_come_out_again(first, start, again, tiny_dataset):
    out, told = again
    assert (told.agreement, told.same_scores) == ("bit for bit", True)
    assert {"test_auc", "valid_log_loss", "loss"} <= {figure.name for figure in told.figures}
    same_run(first, out)
    before = (out / "receipt.json").stat().st_mtime_ns
    assert reproduce_run(first, tiny_dataset.path, out, warm_start=start).agreement == "bit for bit"
    assert (out / "receipt.json").stat().st_mtime_ns == before  # it was whole: nothing was trained
    with pytest.raises(ConfigError, match="finished already"):
        reproduce_run(first, tiny_dataset.path, first, warm_start=start)


def test_how_far_figures_agree(first):
    recorded = Run.open(first).receipt
    near = recorded.model_copy(
        update={"metrics": {**recorded.metrics, "test_auc": recorded.metrics["test_auc"] + 5e-4}}
    )
    assert compare_receipts(recorded, near, 1e-3).agreement == "within tolerance"
    assert compare_receipts(recorded, near, 1e-4).agreement == "no"
    others = recorded.model_copy(update={"test_scores": "0" * 64})
    assert compare_receipts(recorded, others, 0).agreement == "within tolerance"  # the same figures from other scores
    without = recorded.model_copy(update={"metrics": {"loss": recorded.metrics["loss"]}})
    assert compare_receipts(recorded, without, 1).agreement == "no"
    older = recorded.model_copy(update={"test_scores": None})
    assert compare_receipts(older, recorded, 0).agreement == "bit for bit"


def test_what_is_printed(first, capsys):
    recorded = Run.open(first).receipt
    _print_reproduction(compare_receipts(recorded, recorded, 1e-3))
    assert "agree bit for bit, and so does the score of each test row" in capsys.readouterr().out
    moved = {**recorded.metrics, "loss": recorded.metrics["loss"] + 5e-4}
    _print_reproduction(compare_receipts(recorded, recorded.model_copy(update={"metrics": moved}), 1e-3))
    shown = capsys.readouterr().out
    assert "agree within 0.001, not bit for bit" in shown
    loss = ["loss", f"{recorded.metrics['loss']:.9g}", f"{moved['loss']:.9g}", "+0.0005"]
    assert loss in [line.split() for line in shown.splitlines()]


def test_what_cannot_be_reproduced_is_refused(first, start, tiny_dataset, tmp_path):
    out = tmp_path / "out"
    other = make_dataset(tmp_path, learnable(900, seed=4))
    with pytest.raises(ArtifactError, match="not the one that"):
        reproduce_run(start, other.path, out)
    with pytest.raises(ConfigError, match="did not begin with"):
        reproduce_run(start, tiny_dataset.path, out, warm_start=first)
    with pytest.raises(ConfigError, match="Give it as `warm_start`"):
        reproduce_run(first, tiny_dataset.path, out)
    with pytest.raises(ConfigError, match="Keras callback"):
        reproduce_run(edited(start, tmp_path, ended_by="callback"), tiny_dataset.path, out)
    assert not out.exists()


def test_without_a_name_nothing_is_kept():
    with _kept_or_not(None) as folder:
        assert folder.parent.is_dir()
    assert not folder.parent.exists()


def test_the_command(first, start, again, tiny_dataset, tmp_path):
    recorded = json.loads((first / "receipt.json").read_text())
    versions = {**recorded["versions"], "tensorflow": "2.4.0"}
    metrics = {**recorded["metrics"], "test_auc": 0.1}
    run = edited(first, tmp_path, versions=versions, metrics=metrics)
    assert changes_since(Run.open(run))["tensorflow"][0] == "2.4.0"
    arguments = ["reproduce", str(run), "--data", str(tiny_dataset.path), "--warm-start", str(start)]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(again[0])])  # which is whole already
    assert shown.exit_code == 1
    assert "tensorflow was 2.4.0, is 2." in shown.stdout
    assert "not reproduced: figures differ by more than 0.001" in shown.stdout
    for wrong in ([str(run)], [str(run), "--scale", "tiny"], ["cowclip"], ["cowclip", "--tolerance", "1"]):
        assert CliRunner().invoke(app, ["reproduce", *wrong]).exit_code == 2
