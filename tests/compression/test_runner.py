"""Forms of real runs: what is measured, what is kept, and what is refused before anything is trained."""

from __future__ import annotations

import fcntl

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.compression import CompressedRow, parse_compression
from ctrfast.compression import runner as runner_module
from ctrfast.compression.runner import compress
from ctrfast.compression.settings import KINDS
from ctrfast.errors import ArtifactError, Cancelled, ConfigError, DataError
from ctrfast.evaluate import evaluate
from ctrfast.run import Run
from ctrfast.sweep import sweep_points
from ctrfast.sweep.folder import opened
from ctrfast.train import train
from tests import tiny_clicks

VALUES = {
    "base": {**tiny_clicks.SETTINGS, "epochs": 1},
    "wide": {"model.hidden": [[40, 40]]},
    "small": {"model.hidden": [[4, 4]], "epochs": [2]},
    "prune": [0.5],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("data"), tiny_clicks.learnable(3000))


@pytest.fixture(scope="module")
def out(data, tmp_path_factory):
    """Trained in this process, which saves the start of one for each; the sweeps find the runs done."""
    folder = tmp_path_factory.mktemp("compress") / "out"
    config = parse_compression(VALUES)
    for kind in KINDS:
        with opened(folder / kind, config.sweep(kind), data.hash) as sweep:
            for point in sweep_points(config.sweep(kind)):
                train(data, point.config, sweep.runs / point.name)
    return folder


@pytest.fixture(scope="module")
def rows(data, out):
    """Of a call that was broken off after one run, and one that went on."""
    asked = []

    def should_stop():
        asked.append(len(asked))
        return (out / "forms.jsonl").exists()

    with pytest.raises(Cancelled, match="before all forms"):
        compress(data, parse_compression(VALUES), out, should_stop=should_stop)
    assert len((out / "forms.jsonl").read_text().splitlines()) == 4
    return compress(data, parse_compression(VALUES), out).rows


def test_a_row_for_each_form_of_each_run(rows, out, data):
    assert [(row.kind, row.precision, row.prune, row.hidden, row.kept, row.epochs) for row in rows] == [
        ("wide", "float32", None, "40x40", "40x40", 1),
        ("wide", "int8", None, "40x40", "40x40", 1),
        ("wide", "float32", 0.5, "40x40", "20x20", 1),
        ("wide", "int8", 0.5, "40x40", "20x20", 1),
        ("small", "float32", None, "4x4", "4x4", 2),
        ("small", "int8", None, "4x4", "4x4", 2),
    ]
    by_hand = {40: 9 * 40 + 40 + 40 * 40 + 40 + 40 + 1, 20: 9 * 20 + 20 + 20 * 20 + 20 + 20 + 1}
    assert [row.weights - 2 for row in rows[1:3]] == [by_hand[40], by_hand[20]]  # 2: linear weight, bias
    assert rows[1].model_bytes < rows[0].model_bytes
    assert rows[3].model_bytes < rows[2].model_bytes < rows[0].model_bytes
    assert all(min(row.row_latency_us, row.thousand_rows_ms) > 0 for row in rows)
    for row in (rows[0], rows[4]):
        run = Run.open(out / row.run)
        figures = evaluate(run.path, [data.path]).metrics
        assert row.auc == pytest.approx(figures["auc"], abs=1e-4)
        assert row.log_loss == pytest.approx(figures["log_loss"], abs=1e-5)
        assert row.calibrated_log_loss == pytest.approx(figures["calibrated_log_loss"], abs=1e-5)
        assert (row.train_s, row.key) == (run.receipt.train_s, run.seal)
    assert rows[2].auc != rows[0].auc
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert tuple(CompressedRow(**row) for row in table) == rows
    assert not list(out.glob(".partial-*"))


def test_what_is_known_is_not_measured_again(rows, out, data, monkeypatch):
    told = []
    with monkeypatch.context() as patch:
        patch.setattr(runner_module, "write_bundle", lambda *_: pytest.fail("it was measured again"))
        again = compress(data, parse_compression(VALUES), out, on_progress=told.append)
    assert again.rows == rows
    assert (told[-1].done, told[-1].total) == (4, 4)
    assert any(progress.what == "wide: forms of model.hidden=40x40" for progress in told)

    fewer = compress(data, parse_compression({**VALUES, "prune": []}), out).rows
    assert fewer == (*rows[:2], *rows[4:])


def test_the_command_prints_the_table_and_leaves_a_page(rows, out, data, tmp_path):
    file = tmp_path / "compress.yaml"
    file.write_text(yaml.safe_dump({**VALUES, "data": str(data.path)}))
    result = CliRunner().invoke(app, ["sweep", "--preset", "compress", "--config", str(file), "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split()[:3] == ["network", "form", "hidden"]
    assert lines[3].startswith("wide deepfm   float32, pruned by 0.5  2 x 40")
    assert f"{rows[2].auc:.4f}" in lines[3]
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "front.html").read_text()
    assert "float32, pruned by 0.5" in page and "data:image/png;base64," in page and "<script" not in page


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (["--preset", "compres"], 1, "Did you mean compress"),
        ([], 2, "--preset compress"),
        (["--preset", "compress"], 2, "--data"),
    ],
)
def test_refusals_of_the_command(arguments, code, says, tmp_path):
    result = CliRunner().invoke(app, ["sweep", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == code
    assert says in (result.output if code == 2 else str(result.exception))
    assert not (tmp_path / "out").exists()


def test_refusals_before_anything_is_trained(data, tmp_path):
    normed = {**VALUES, "wide": {"model.tower.norm": ["layer"]}}
    for values, path, says in (
        (normed, "prune", "without norms.*set `prune` to none"),
        ({**VALUES, "wide": {"model.name": ["lr"]}, "base": {**VALUES["base"], "model": {}}}, "prune", "with one MLP"),
        ({**VALUES, "wide": {"batch_size": [100_000]}}, None, "batch_size"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            compress(data, parse_compression(values), tmp_path / "out")
        assert path in (None, caught.value.path)
        assert not list((tmp_path / "out").glob("wide/runs/*"))
    parse_compression({**normed, "prune": []})  # which is then allowed
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="exists already"):
        compress(data, parse_compression(VALUES), tmp_path / "other")
    untested = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(800), test_fraction=0.0)
    with pytest.raises(DataError, match="must have test rows"):
        compress(untested, parse_compression(VALUES), tmp_path / "out")


def test_a_broken_table_is_named(rows, out, data):
    file = out / "forms.jsonl"
    whole = file.read_text()
    file.write_text("{\n")
    with pytest.raises(ArtifactError, match=r"forms\.jsonl cannot be read. Remove it"):
        compress(data, parse_compression(VALUES), out)
    file.write_text(whole)


def test_one_process_at_a_time(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="Another sweep is at work"):
            compress(data, parse_compression(VALUES), out)
