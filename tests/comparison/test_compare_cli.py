"""`ctrfast compare` on real runs: kept scores, scores made now, and refusals."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ctrfast.compare_cli import compare
from ctrfast.comparison import ComparedRun, compare_runs
from ctrfast.errors import ArtifactError
from ctrfast.kept_scores import TEST_SCORES, load_scores
from ctrfast.metrics import Predictions
from ctrfast.run import Run
from ctrfast.train import train
from tests.command_line import called, refused
from tests.tiny_clicks import settings


@pytest.fixture(scope="module")
def pair(tiny_dataset, tmp_path_factory):
    """A run of one epoch, and a better one of four with another rule."""
    folder = tmp_path_factory.mktemp("pair")
    train(tiny_dataset, settings(epochs=1), folder / "short")
    train(tiny_dataset, settings(scaling={"rule": "sqrt", "base_batch_size": 250}), folder / "long")
    return folder / "short", folder / "long"


def test_the_scores_that_are_kept_are_those_of_the_figures(pair, tiny_dataset):
    run = Run.open(pair[1])
    kept = load_scores(run.path, run.receipt.test_scores)
    assert len(kept.labels) == tiny_dataset.rows("test")
    predictions = Predictions()
    predictions.add(kept.labels, kept.logits)
    figures = predictions.metrics()
    assert all(run.metrics[f"test_{name}"] == value for name, value in figures.items())


def test_the_command(pair, tiny_dataset, tmp_path):
    short, long = pair
    shown = called("compare", short, long).stdout
    assert refused("compare", short) == "error: `runs` must name 2 to 50 runs. Got 1."
    assert f"{long} ranks better than {short}: test AUC +0." in shown
    assert "on the same 900 rows" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["scaling.rule", "cowclip", "sqrt"] in lines
    assert ["epochs", "1", "4"] in lines


def as_json(capsys, *runs, data=None):
    compare([*runs], data=data, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_runs_that_have_kept_no_scores_are_scored_on_a_dataset(pair, tiny_dataset, tmp_path, capsys):
    short, long = pair
    told = as_json(capsys, short, long)
    assert {of["figure"] for of in told["differences"]} >= {"auc", "log_loss"}

    older = tmp_path / "older"  # as runs were before they kept scores
    shutil.copytree(long, older)
    (older / TEST_SCORES).unlink()
    receipt = json.loads((older / "receipt.json").read_text())
    del receipt["test_scores"]
    (older / "receipt.json").write_text(json.dumps(receipt))
    compare([short, older])
    assert f"No test scores are kept with {older}" in capsys.readouterr().out
    again = as_json(capsys, short, older, data=tiny_dataset.path)
    assert [of["difference"] for of in again["differences"]] == pytest.approx(
        [of["difference"] for of in told["differences"]], abs=1e-6
    )
    assert again["notes"] == told["notes"]

    with pytest.raises(ArtifactError, match="There is no run"):
        compare([short, tmp_path / "none"])
    with pytest.raises(ArtifactError, match="another schema or vocabulary"):
        compare([short, long], data=other_dataset(tmp_path))


def other_dataset(folder):
    from tests.tiny_clicks import learnable, make_dataset

    return make_dataset(folder, learnable(600, seed=9)).path


def test_scores_that_were_changed_are_refused(pair, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pair[0], copy)
    content = bytearray((copy / TEST_SCORES).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / TEST_SCORES).write_bytes(content)
    with pytest.raises(ArtifactError, match="missing or was changed"):
        ComparedRun.of(Run.open(copy), "copy")


def test_a_rule_shows_what_it_made_of_the_settings(pair):
    told = compare_runs([ComparedRun.of(Run.open(path), path.name) for path in pair])
    rows = {row.name: row.values for row in told.settings}
    assert rows["plan.clip"] == ["adaptive_column", "none"]
    assert not {"plan.batch_size", "plan.rule"} & set(rows)
    assert np.isfinite(told.differences[0].p)
