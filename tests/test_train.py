"""Equal seeds give equal runs, a stopped or killed run goes on as if nothing had happened, bad settings are told."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled, ConfigError, TrainingError
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.schema import preset
from ctrfast.train import train


def weights(path):
    return {name: variable.numpy() for name, variable in open_network(Run.open(path)).weights().items()}


def assert_same_run(left, right):
    for name, value in weights(left).items():
        np.testing.assert_array_equal(value, weights(right)[name], err_msg=name)
    figures = [Run.open(path).metrics for path in (left, right)]
    for name in figures[0]:
        if name.startswith(("valid_", "test_")):
            assert figures[0][name] == figures[1][name]


def test_a_run_leaves_its_records(dataset, run_path):
    run = Run.open(run_path)
    assert {"test_auc", "test_log_loss", "valid_auc", "valid_log_loss", "loss", "clipped_share"} <= set(run.metrics)
    assert run.metrics["test_rows"] == dataset.rows("test")
    assert run.receipt.dataset_hash == dataset.hash
    assert run.receipt.steps == 2 * (dataset.rows("train") // 256)
    assert run.receipt.rows_left_out_per_epoch == dataset.rows("train") % 256
    assert run.receipt.versions["tensorflow"]
    records = [json.loads(line) for line in (run_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["split"] for r in records if r["kind"] == "evaluation"] == ["valid", "valid", "test"]
    trained = [r for r in records if r["kind"] == "train"]
    assert set(trained[-1]["clipped_share_by_field"]) == set(dataset.fitted.schema_.id_names)
    assert trained[-1]["loss"] < trained[0]["loss"]
    board = EventAccumulator(str(run_path / "tensorboard")).Reload()
    assert board.Tensors("test/auc")
    assert len(board.Tensors("train/loss")) == len(trained)
    assert not list(run_path.rglob(".partial-*"))


def test_equal_settings_give_equal_runs(dataset, run_path, tmp_path):
    train(dataset, Run.open(run_path).config, tmp_path / "again")
    assert_same_run(run_path, tmp_path / "again")


def test_evaluation_counts_what_the_run_learned(dataset, run_path):
    assert Run.open(run_path).metrics["test_auc"] > 0.6


def test_a_stopped_run_goes_on_to_the_same_end(dataset, small_config, tmp_path):
    config = small_config(epochs=2)
    train(dataset, config, tmp_path / "whole")
    stop_after(11, dataset, config, tmp_path / "parts")  # within the second epoch
    with pytest.raises(ArtifactError, match="has not finished"):
        Run.open(tmp_path / "parts")
    train(dataset, config, tmp_path / "parts", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")

    def steps(name):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["step"] for line in lines if '"evaluation"' in line]

    assert steps("whole") == steps("parts")


def test_a_killed_run_goes_on_to_the_same_end(dataset, small_config, tmp_path):
    config = small_config(epochs=40)
    program = (
        "import sys, ctrfast; from pathlib import Path; from ctrfast.config import TrainConfig;"
        "from ctrfast.data.shards import Dataset; from ctrfast.train import train;"
        "train(Dataset.open(Path(sys.argv[1])), TrainConfig.model_validate_json(sys.argv[2]), Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", program, str(dataset.path), config.model_dump_json(), str(tmp_path / "killed")]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with pytest.raises(ArtifactError, match="has not finished"):
        Run.open(tmp_path / "killed")
    train(dataset, config, tmp_path / "killed", resume=True)
    train(dataset, config, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def stop_after(steps, dataset, config, out):
    asked = iter(range(10**6))
    with pytest.raises(Cancelled):
        train(dataset, config, out, should_stop=lambda: next(asked) == steps)


def test_a_damaged_checkpoint_is_written_again(dataset, small_config, tmp_path):
    config, out = small_config(epochs=3), tmp_path / "run"
    train(dataset, config, tmp_path / "whole")
    train(dataset, config, out)
    newest = sorted((out / "checkpoints").iterdir())[-1]
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    (out / "receipt.json").unlink()
    train(dataset, config, out, resume=True)  # from the one before
    assert_same_run(tmp_path / "whole", out)


def test_a_run_that_died_before_its_receipt_keeps_its_figures(dataset, small_config, tmp_path):
    config, out = small_config(epochs=2), tmp_path / "run"
    train(dataset, config, out)
    before = Run.open(out)
    (out / "receipt.json").unlink()
    train(dataset, config, out, resume=True)
    after = Run.open(out)
    assert set(after.metrics) == set(before.metrics)
    assert {n: v for n, v in after.metrics.items() if n != "rows_per_s"} == {
        n: v for n, v in before.metrics.items() if n != "rows_per_s"
    }
    assert after.receipt.train_s >= before.receipt.train_s * 0.5
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [r["split"] for r in records if r["kind"] == "evaluation"] == ["valid", "valid", "test"]


def test_another_dataset_is_refused_even_before_the_first_checkpoint(dataset, raw_clicks, small_config, tmp_path):
    prepare([raw_clicks], preset("criteo"), tmp_path / "other", min_count=9)
    stop_after(0, dataset, small_config(), tmp_path / "run")
    with pytest.raises(ArtifactError, match="another dataset"):
        train(Dataset.open(tmp_path / "other"), small_config(), tmp_path / "run", resume=True)


@pytest.mark.parametrize("name", ["config.json", "schema.json", "vocabulary/C1.parquet", "checkpoints"])
def test_a_changed_byte_in_a_run_is_refused(run_path, tmp_path, name):
    out = tmp_path / "run"
    shutil.copytree(run_path, out)
    file = Run.open(out).checkpoint / "state.safetensors" if name == "checkpoints" else out / name
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="was changed"):
        open_network(Run.open(out))


@pytest.mark.parametrize("content", ["[]", "{}", "nothing"])
def test_a_receipt_that_cannot_be_read_is_refused(run_path, tmp_path, content):
    shutil.copytree(run_path, tmp_path / "run")
    (tmp_path / "run" / "receipt.json").write_text(content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        Run.open(tmp_path / "run")


def test_progress_is_told(dataset, small_config, tmp_path):
    seen = []
    train(dataset, small_config(), tmp_path / "run", on_progress=seen.append)
    assert seen[-1].fraction == 1
    assert seen[-1].step == seen[-1].total_steps == dataset.rows("train") // 512
    assert seen[-1].eta_s == 0
    assert "valid_auc" in seen[-1].metrics


def test_a_batch_larger_than_the_data_is_refused(dataset, small_config, tmp_path):
    with pytest.raises(ConfigError, match=r"at most the training split's 4,200 rows\. Got batch_size=4,201") as caught:
        train(dataset, small_config(batch_size=4201), tmp_path / "run")
    assert caught.value.path == "batch_size"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch_size, epochs", [(512, 3), (4200, 1)], ids=["in the middle", "at the only step"])
def test_a_run_that_diverges_is_no_success(dataset, small_config, tmp_path, batch_size, epochs):
    rates = {"lr_dense": 1e30, "lr_embed": 1e30}
    config = small_config(batch_size=batch_size, epochs=epochs, optimizer=rates, scaling={"rule": "none"})
    with pytest.raises(TrainingError, match="Lower optimizer"):
        train(dataset, config, tmp_path / "run")
    assert not (tmp_path / "run" / "receipt.json").exists()
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_what_is_in_the_place_is_not_overwritten(dataset, small_config, run_path, tmp_path):
    with pytest.raises(ConfigError, match="exists already"):
        train(dataset, small_config(), run_path)
    with pytest.raises(ConfigError, match="finished already"):
        train(dataset, Run.open(run_path).config, run_path, resume=True)
    stop_after(0, dataset, small_config(), tmp_path / "run")
    with pytest.raises(ConfigError, match="--resume"):
        train(dataset, small_config(), tmp_path / "run")
    with pytest.raises(ArtifactError, match="other settings"):
        train(dataset, small_config(seed=9), tmp_path / "run", resume=True)


def test_a_run_that_is_none_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="There is no run"):
        Run.open(tmp_path / "none")
    with pytest.raises(ArtifactError, match="is not a run"):
        Run.open(tmp_path)
