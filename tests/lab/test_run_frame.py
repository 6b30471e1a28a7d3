"""Runs, sweeps and reports as frames; and the records of runs. The sweep's points are stand-ins, one run is real."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ctrfast.errors import ArtifactError, DataError
from ctrfast.lab import curves, runs
from ctrfast.optim.scaling import make_plan
from ctrfast.run import Run, start_run
from ctrfast.sweep import run_sweep
from tests import tiny_clicks
from tests.sweep import point_program
from tests.sweep.test_runner import STAND_IN, sweep_of


@pytest.fixture(scope="module")
def sweep_folder(tiny_dataset, tmp_path_factory):
    """Seeds 1 and 2 have ended after 30 s and one step, which their records call an epoch; a third one has failed."""
    out = tmp_path_factory.mktemp("sweeps") / "first"
    run_sweep(tiny_dataset, sweep_of(1, point_program.NAN, 2), out, **STAND_IN)
    for run in (out / "runs").iterdir():
        (run / "metrics.jsonl").write_text(json.dumps({"kind": "train", "epoch": 0, "step": 1, "loss": 0.5}) + "\n")
    return out


def test_a_sweep(sweep_folder, tiny_dataset):
    frame = runs(sweep_folder)
    assert list(frame["name"]) == ["rule=none_seed=1", "rule=none_seed=100", "rule=none_seed=2"]
    assert list(frame["state"]) == ["succeeded", "failed", "succeeded"]
    assert frame["reason"][1] == "nan_loss"
    assert list(frame["seed"]) == [1, 100, 2]
    assert list(frame["scaling.rule"]) == ["none"] * 3
    assert set(frame["model.hidden"]) == {"48x48"}
    assert set(frame["plan.l2"]) == {1e-4}
    assert set(frame["dataset"]) == {tiny_dataset.hash}
    np.testing.assert_array_equal(frame["test_auc"], [0.71, np.nan, 0.72])
    np.testing.assert_array_equal(frame["seconds"], [30, np.nan, 30])
    np.testing.assert_array_equal(frame["epoch_s"], [30, np.nan, 30])


def test_run_folders_alone_or_in_a_folder_give_the_sweeps_rows(sweep_folder):
    whole = runs(sweep_folder).dropna(subset="test_auc").reset_index(drop=True)
    parts = runs([sweep_folder / "runs" / name for name in whole["name"]])
    assert list(parts["test_auc"]) == list(whole["test_auc"])
    assert set(parts) == set(whole)
    for name in set(parts) - {"reason"}:
        assert list(parts[name].fillna(0)) == list(whole[name].fillna(0)), name
    assert list(runs(str(sweep_folder / "runs"))["name"]) == list(parts["name"])


def test_a_report_of_a_sweep_job():
    done = {"job": "a", "settings": {"seed": 1, "model.hidden": [8, 4]}, "state": "succeeded", "reason": None}
    lost = {"job": "b", "settings": {"seed": 2, "model.hidden": [8, 4]}, "state": "failed", "reason": "worker_lost"}
    report = {
        "runs": [{**done, "metrics": {"test_auc": 0.7}, "seconds": 9.0}, {**lost, "metrics": {}, "seconds": None}]
    }
    frame = runs(report)  # of an older service, which told neither batch size nor time per epoch
    assert frame[["batch_size", "epoch_s"]].isna().all(axis=None)
    report["runs"][0] |= {"batch_size": 512, "epoch_s": 4.5, "settings": {"seed": 1, "model.tower": {"experts": 2}}}
    told = runs(report).loc[0]
    assert (told["batch_size"], told["epoch_s"], told["model.tower.experts"]) == (512, 4.5, 2)
    assert list(frame["name"]) == ["a", "b"]
    assert list(frame["model.hidden"]) == ["8x4"] * 2
    np.testing.assert_array_equal(frame["test_auc"], [0.7, np.nan])
    with pytest.raises(DataError, match="must have records here"):
        curves(report)


def test_a_run_that_has_not_finished(tiny_dataset, tmp_path):
    config = tiny_clicks.settings()
    start_run(tmp_path / "run", config, make_plan(config, "tiny"), tiny_dataset)
    (row,) = runs(tmp_path / "run").to_dict("records")
    assert (row["state"], row["batch_size"]) == ("unfinished", 250)
    with pytest.raises(DataError, match="Name folders of runs that have begun"):
        curves(tmp_path / "run")


def test_the_records_of_a_run(watched_run):
    frame = curves(watched_run)
    records = tiny_clicks.records(watched_run)
    assert list(frame["step"]) == [record["step"] for record in records]
    np.testing.assert_allclose(frame["epoch"], [record["step"] / 10 for record in records])
    assert list(frame["train_s"]) == [record["train_s"] for record in records]
    seen = frame[frame["split"] == "valid"]
    assert list(zip(seen["step"], seen["auc"], strict=True)) == tiny_clicks.evaluations(watched_run)
    (record,) = [record for record in records if record["kind"] == "train" and record["step"] == 10]
    (row,) = frame[(frame["kind"] == "train") & (frame["step"] == 10)].to_dict("records")
    assert row["clipped_share.a"] == record["clipped_share_by_field"]["a"]
    assert seen["embedding_norm.b"].notna().all()
    assert set(frame["optimizer.lr_decay"]) == {"plateau"}
    steps = Run.open(watched_run).receipt.steps
    assert runs(watched_run)["epoch_s"][0] == pytest.approx(Run.open(watched_run).receipt.train_s / (steps / 10))


def test_a_line_that_is_half_written_is_left_out(watched_run, tmp_path):
    run = shutil.copytree(watched_run, tmp_path / "run")
    whole = len(curves(run))
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "tr')
    assert len(curves(runs(run))) == whole
    with (run / "metrics.jsonl").open("a") as log:
        log.write("\n")
    with pytest.raises(ArtifactError, match=r"metrics\.jsonl cannot be read"):
        curves(run)


def test_an_epoch_that_was_broken_off_has_no_length(sweep_folder, tmp_path):
    run = shutil.copytree(sweep_folder / "runs" / "rule=none_seed=1", tmp_path / "run")
    receipt = json.loads((run / "receipt.json").read_text())
    (run / "receipt.json").write_text(json.dumps({**receipt, "ended_by": "early_stop"}))
    assert runs(run)["epoch_s"].isna().all()
    assert curves(run)["epoch"].isna().all()


def test_what_holds_no_runs_is_refused(sweep_folder, tmp_path):
    with pytest.raises(ArtifactError, match="There is no folder"):
        runs(tmp_path / "nothing")
    with pytest.raises(DataError, match="at least one run"):
        runs(tmp_path)
    with pytest.raises(DataError, match="must have `runs`") as caught:
        runs({"groups": []})
    assert caught.value.path == "runs"
    broken = shutil.copytree(sweep_folder, tmp_path / "sweep")
    run = broken / "runs" / "rule=none_seed=1"
    for file, words in (
        (run / "receipt.json", r"receipt\.json of"),
        (run / "plan.json", r"sha256 of plan\.json"),
        (broken / "points.jsonl", "tables of the sweep"),
    ):
        file.write_text("{")
        with pytest.raises(ArtifactError, match=words):
            runs(broken if file.parent == broken else run)
        shutil.copy(sweep_folder / file.relative_to(broken), file)
    assert len(runs(broken)) == 3
