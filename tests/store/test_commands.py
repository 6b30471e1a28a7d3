"""The commands with addresses: from clicks to scores through the store, and a run that another machine takes up."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.errors import ConfigError, StoreUnavailableError
from ctrfast.file_lock import run_lock
from ctrfast.folders import new_folder
from ctrfast.store.address import Address
from ctrfast.store.artefacts import UNFINISHED, find, opened, publish
from ctrfast.store.mirror import mirrored
from ctrfast.store.objects import Objects
from ctrfast.store.outputs import Output, is_artefact
from tests import tiny_clicks
from tests.store.conftest import make_folder

SETTINGS = ["--batch-size", "250", "--set", "model.hidden=[8]", "--set", "model.embedding_dim=4"]


def ctrfast(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_from_clicks_to_scores_in_the_store(store: str, tmp_path: Path) -> None:
    raw = tiny_clicks.write_clicks(tmp_path / "clicks.tsv", *tiny_clicks.learnable(2000))
    schema = tmp_path / "tiny.yaml"
    schema.write_text(yaml.safe_dump(tiny_clicks.SCHEMA.model_dump(mode="json")))
    data, run, bundle = f"{store}/data", f"{store}/run", f"{store}/bundle"
    ctrfast("prepare", raw, "--schema", schema, "--split", "sequential", "--out", data)
    shutil.rmtree(tmp_path / "cache")  # what follows is another machine's
    assert "test_auc" in ctrfast("train", "--data", data, "--out", run, *SETTINGS)
    assert "auc" in ctrfast("evaluate", run, "--data", data)
    ctrfast("export", run, "--out", bundle)
    out = tmp_path / "scores.parquet"
    assert "2,000 scores" in ctrfast("score", bundle, raw, "--out", out)
    assert pq.read_metadata(out).num_rows == 2000
    ctrfast("copy", bundle, tmp_path / "bundle")
    ctrfast("copy", tmp_path / "bundle", f"{store}/again")
    assert not list((tmp_path / "cache" / "staging").iterdir())
    with pytest.raises(ConfigError, match="exists already"):
        ctrfast("train", "--data", data, "--out", run, *SETTINGS)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("s3:")]


@pytest.mark.parametrize("ends", [("a", "b"), ("s3://bucket/a", "s3://bucket/b")])
def test_copy_goes_from_one_to_the_other(ends: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="from a folder to s3://"):
        ctrfast("copy", *ends)


@pytest.mark.parametrize("command", [("score", "b", "r", "--out"), ("sweep", "--config", "c.yaml", "--out")])
def test_what_cannot_be_in_the_store_says_so(command: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="must be on this machine") as caught:
        ctrfast(*command, "s3://bucket/a")
    assert caught.value.path == "out"


def test_a_stopped_run_is_taken_up_on_another_machine(store: str, tmp_path: Path) -> None:
    output = Output(f"{store}/run")
    with output.mirrored():
        make_folder(output.path, "one")
        save(output.path, 1)
    (output.path / "metrics.jsonl").write_text("after the last copy")
    with pytest.raises(ZeroDivisionError), output.mirrored():
        save(output.path, 2)
        1 / 0  # noqa: B018
    shutil.rmtree(tmp_path / "cache")
    other = Output(f"{store}/run")
    other.take_up()
    assert other.path == output.path
    assert sorted(path.name for path in (other.path / "checkpoints").iterdir()) == ["step-00000001", "step-00000002"]
    assert (other.path / "metrics.jsonl").read_text() == "after the last copy"
    save(other.path, 3)
    other.take_up()  # this machine is further on
    assert (other.path / "checkpoints" / "step-00000003").is_dir()
    other.deliver()
    with opened(Address.parse(f"{store}/run")) as folder:
        assert (folder / "checkpoints" / "step-00000003" / "state").read_text() == "3"
    assert find(Address.parse(f"{store}/run"), UNFINISHED) is None


def test_a_run_that_is_trained_here_is_not_taken_up(store: str) -> None:
    output = Output(f"{store}/run")
    with run_lock(output.path) as lock:
        lock.take()
        with pytest.raises(ConfigError, match="Another process is training into"):
            Output(f"{store}/run").take_up()
    output.take_up()


def save(run: Path, step: int) -> None:
    """Leave a checkpoint as a training does."""
    with new_folder(run / "checkpoints" / f"step-{step:08d}") as partial:
        (partial / "state").write_text(str(step))


def test_finished_work_is_kept_where_the_store_is_away(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(f"{store}/model")
    make_folder(output.path, "one")

    def away(*_: object) -> None:
        raise StoreUnavailableError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "upload", away)
        with pytest.raises(StoreUnavailableError, match=r"The work is kept: `ctrfast copy .*` publishes it") as caught:
            output.deliver()
    remedy = caught.value.message.split("`")[1]
    ctrfast(*remedy.split()[1:])
    with opened(Address.parse(f"{store}/model")) as folder:
        assert (folder / "sub" / "a.txt").read_text() == "one"


def test_a_store_that_is_away_does_not_stop_a_training(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, address = make_folder(tmp_path / "run", "one"), Address.parse(f"{store}/run")

    def away(*_: object) -> None:
        raise StoreUnavailableError("The store is away.")

    monkeypatch.setattr("ctrfast.store.mirror._LOOK_S", 0.01)
    with mirrored(run, address), monkeypatch.context() as patch:
        patch.setattr(Objects, "upload", away)
        (run / "checkpoints" / "step-1").mkdir(parents=True)
        deadline = time.monotonic() + 180
        while "not in the store yet: The store is away." not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "not in the store yet: The store is away." in caplog.text
    stored = find(address, UNFINISHED)
    assert stored is not None
    assert set(stored.files) == {"manifest.json", "b.txt", "sub/a.txt"}
    assert [path.name for path in tmp_path.glob(".partial-*")] == []


def test_a_bucket_alone_is_no_place(store: str) -> None:
    with pytest.raises(ConfigError, match="must name a place in the bucket"):
        Output("s3://artefacts")


def test_raw_files_are_told_from_artefacts(store: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(folder, Address.parse(f"{store}/model"))
    assert is_artefact(f"{store}/model")
    assert not any(map(is_artefact, (f"{store}/raw", f"{store}/*.gz", f"{store}/model?region=x", "model")))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # raw files need no boto3
    assert not is_artefact(f"{store}/model")
