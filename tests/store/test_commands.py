"""The commands with addresses: from clicks to scores through the store, and a run that goes on on another machine."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled, ConfigError, StoreUnavailableError
from ctrfast.run import Run
from ctrfast.store.address import Address
from ctrfast.store.artefacts import UNFINISHED, find, opened
from ctrfast.store.mirror import mirrored
from ctrfast.store.objects import Objects
from ctrfast.store.outputs import Output
from ctrfast.train import train
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
    assert json.loads(ctrfast("inspect", data, "--json"))["schema_name"] == "tiny"
    assert "test_auc" in ctrfast("train", "--data", data, "--out", run, *SETTINGS)
    assert "auc" in ctrfast("evaluate", run, "--data", data)
    ctrfast("export", run, "--out", bundle)
    out = tmp_path / "scores.parquet"
    assert "2,000 scores" in ctrfast("score", bundle, raw, "--out", out)
    assert pq.read_metadata(out).num_rows == 2000
    assert "2,000 scores" in ctrfast("score", bundle, data, "--out", tmp_path / "of_dataset.parquet")
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


def test_a_stopped_run_goes_on_on_another_machine(store: str, tmp_path: Path, tiny_dataset: Dataset) -> None:
    config = tiny_clicks.settings(checkpoint_every_steps=3)
    straight = train(tiny_dataset, config, tmp_path / "straight").metrics
    output = Output(f"{store}/run")
    steps = iter(range(100))
    with output.mirrored(), pytest.raises(Cancelled):
        train(tiny_dataset, config, output.path, should_stop=lambda: next(steps) == 15)
    shutil.rmtree(tmp_path / "cache")
    other = Output(f"{store}/run")
    other.take_up()
    told: list[Any] = []
    with other.mirrored():
        train(tiny_dataset, config, other.path, resume=True, on_progress=told.append)
    other.deliver()
    assert told[0].step > 15
    with opened(Address.parse(f"{store}/run")) as folder:
        metrics = Run.open(folder).metrics
    figures = [name for name in straight if name.startswith(("test_", "valid_"))]
    assert {name: metrics[name] for name in figures} == {name: straight[name] for name in figures}
    assert find(Address.parse(f"{store}/run"), UNFINISHED) is None


def test_finished_work_is_kept_where_the_store_is_away(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(f"{store}/model")
    make_folder(output.path, "one")

    def away(*_: object) -> None:
        raise StoreUnavailableError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "upload", away)
        with pytest.raises(StoreUnavailableError, match=r"It is kept: `ctrfast copy .*` publishes it later") as caught:
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
        deadline = time.monotonic() + 60
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
