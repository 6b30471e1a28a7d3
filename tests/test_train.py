"""A run leaves its records and counts only when it is whole; equal seeds give equal runs; bad settings are told."""

import json
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ctrfast.errors import ArtifactError, Cancelled, ConfigError, TrainingError
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.train import train
from tests import tiny_clicks


def test_a_run_leaves_its_records(dataset, run_path):
    run = Run.open(run_path)
    assert {"test_auc", "test_log_loss", "valid_auc", "valid_log_loss", "loss", "clipped_share"} <= set(run.metrics)
    assert run.metrics["test_rows"] == dataset.rows("test")
    assert run.receipt.dataset_hash == dataset.hash
    assert run.receipt.steps == 2 * (dataset.rows("train") // 256)
    assert run.receipt.rows_left_out_per_epoch == dataset.rows("train") % 256
    assert run.receipt.ended_by == "epochs"
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


def test_equal_settings_give_equal_runs(tiny_dataset, watched_run, tmp_path):
    train(tiny_dataset, tiny_clicks.watched_settings(), tmp_path / "again")
    tiny_clicks.same_run(watched_run, tmp_path / "again")


def test_evaluation_counts_what_the_run_learned(run_path):
    assert Run.open(run_path).metrics["test_auc"] > 0.6


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


def test_progress_is_told(tiny_dataset, tmp_path):
    seen = []
    train(tiny_dataset, tiny_clicks.settings(epochs=1), tmp_path / "run", on_progress=seen.append)
    assert seen[-1].fraction == 1
    assert seen[-1].step == seen[-1].total_steps == 10
    assert seen[-1].rows == 2500
    assert seen[-1].epoch == 0
    assert seen[-1].eta_s == 0
    assert "valid_auc" in seen[-1].metrics
    fields = [name for name, _ in tiny_dataset.fitted.row_ranges if name is not None]
    assert set(seen[-1].by_field) == {
        f"{kind}.{name}" for kind in ("clipped_share", "embedding_norm") for name in fields
    }


def test_a_batch_larger_than_the_data_is_refused(tiny_dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"at most the training split's 2,700 rows\. Got batch_size=2,701") as caught:
        train(tiny_dataset, tiny_clicks.settings(batch_size=2701), tmp_path / "run")
    assert caught.value.path == "batch_size"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch_size, epochs", [(250, 3), (2700, 1)], ids=["in the middle", "at the only step"])
def test_a_run_that_diverges_is_no_success(tiny_dataset, tmp_path, batch_size, epochs):
    rates = {"lr_dense": 1e30, "lr_embed": 1e30}
    config = tiny_clicks.settings(batch_size=batch_size, epochs=epochs, optimizer=rates, scaling={"rule": "none"})
    with pytest.raises(TrainingError, match="Lower optimizer"):
        train(tiny_dataset, config, tmp_path / "run")
    assert not (tmp_path / "run" / "receipt.json").exists()
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_what_is_in_the_place_is_not_overwritten(tiny_dataset, watched_run, tmp_path):
    with pytest.raises(ConfigError, match="exists already"):
        train(tiny_dataset, tiny_clicks.settings(), watched_run)
    with pytest.raises(Cancelled):
        train(tiny_dataset, tiny_clicks.settings(), tmp_path / "run", should_stop=lambda: True)
    with pytest.raises(ConfigError, match="--resume"):
        train(tiny_dataset, tiny_clicks.settings(), tmp_path / "run")


def test_a_run_that_is_none_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="There is no run"):
        Run.open(tmp_path / "none")
    with pytest.raises(ArtifactError, match="is not a run"):
        Run.open(tmp_path)
