"""The paper's table: what each scale runs, the published figures beside ours, and the report."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.data.synth import synth
from ctrfast.errors import ConfigError
from ctrfast.optim.published import BATCH_SIZES, NETWORKS, PUBLISHED_AUC, PUBLISHED_MINUTES
from ctrfast.optim.scaling import make_plan
from ctrfast.paper import PaperTable, paper_dataset, plan_table, write_report
from ctrfast.paper.gpu_time import MEASURED, gpu_seconds, gpu_speed
from ctrfast.schema import SPLITS
from ctrfast.sweep import SweepConfig, sweep_points

ROOT = Path(__file__).parents[2]


def test_the_published_figures():
    assert BATCH_SIZES[0] == 1024
    assert BATCH_SIZES[-1] == 131072
    assert PUBLISHED_AUC["criteo"]["deepfm"][131072] == 80.90
    assert PUBLISHED_AUC["avazu"]["deepfm"][8192] == 79.06
    assert PUBLISHED_MINUTES["criteo"]["deepfm"][1024] == 768


def test_a_sample_has_the_sizes_that_it_is_large_enough_for(dataset):
    plan = plan_table(dataset, "sample")  # of 4,200 training rows
    points = sweep_points(plan.config)
    assert [(point.config.model.name, point.config.batch_size) for point in points] == [(of, 1024) for of in NETWORKS]
    assert plan.left_out == BATCH_SIZES[1:]
    (first, *_) = points
    resolved = make_plan(first.config, "criteo")
    assert (resolved.rule, resolved.lr_dense, resolved.l2, resolved.base_batch_size) == ("cowclip", 8e-4, 1e-5, 1024)
    assert (first.config.model.hidden, first.config.model.embedding_dim) == ((400, 400, 400), 10)
    told = "\n".join(plan.lines())
    assert "4 runs: deepfm, wide_deep, dcn, dcn_v2 x batch sizes 1,024" in told
    assert "GiB" in told
    assert 0 < plan.low_s < plan.high_s


def test_refusals(dataset, tiny_dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"at least 524,288 training rows\. Got 4,200\. Choose the scale sample"):
        plan_table(dataset, "full")
    with pytest.raises(ConfigError, match="at least 4,096 training rows"):
        plan_table(tiny_dataset, "sample")
    with pytest.raises(ConfigError, match="Did you mean tiny"):
        paper_dataset(None, "tinny", tmp_path)
    with pytest.raises(ConfigError, match="Give --dataset"):
        paper_dataset(None, "sample", tmp_path)


def row(network, size, auc, state="succeeded", reason=None):
    metrics = {} if auc is None else {"test_auc": auc, "test_log_loss": 0.45}
    settings = {"model.name": network, "batch_size": size}
    return {"settings": settings, "metrics": metrics, "state": state, "reason": reason, "seconds": 90.0}


@pytest.fixture
def table(dataset):
    rows = [
        row("dcn", 2048, None, "failed", "nan_loss"),
        row("deepfm", 2048, 0.8103),
        row("deepfm", 1024, 0.8076),
        row("dcn", 1024, 0.8),
    ]
    return PaperTable.of(rows, dataset, plan_table(dataset, "sample"))


def test_ours_beside_the_published(table):
    assert list(table.cells()) == [
        ("deepfm", "1,024", "80.76", "80.86", "-0.10", "0.4500", "1.50", "768"),
        ("deepfm", "2,048", "81.03", "80.93", "+0.10", "0.4500", "1.50", "390"),
        ("dcn", "1,024", "80.00", "-", "-", "0.4500", "1.50", "-"),
        ("dcn", "2,048", "-", "-", "-", "-", "1.50", "-"),
    ]
    assert table.failed
    assert "4,200 training rows of criteo, 3 epochs" in table.title
    assert "dcn at 2,048: failed, nan_loss" in table.notes[-1]
    assert "2,048, 4,096" in table.notes[1]


def test_the_report_and_its_picture(table, tmp_path):
    page = write_report(table, tmp_path).read_text()
    assert re.findall('figure id="([^"]+)"', page) == ["test_auc", "test_log_loss", "epoch_s"]
    assert "Dashed: as published" in page
    assert "80.86" in page
    assert "<script" not in page
    assert write_report(table, tmp_path).read_text() == page


def test_figures_of_the_pictures(table):
    (first, *_, failed) = table.runs()
    assert (first["model.name"], first["batch_size"], first["test_auc"]) == ("deepfm", 1024, pytest.approx(0.8076))
    assert first["epoch_s"] == 30.0  # 90 s, 3 epochs
    assert (failed["test_auc"], failed["epoch_s"]) == (None, None)
    assert table.published_auc() == {"deepfm, published": {1024: pytest.approx(0.8086), 2048: pytest.approx(0.8093)}}
    seconds = table.published_epoch_s()["deepfm, published (V100)"]
    assert seconds == {1024: pytest.approx(768 * 6), 2048: pytest.approx(390 * 6)}  # 10 epochs


def test_speeds_of_a_gpu_are_those_that_were_measured():
    figures = json.loads((ROOT / "bench" / "results" / "gpu.json").read_text())["figures"]
    for size, speed in MEASURED.items():
        rounds = figures[str(size)]["rows_per_s"]["ctrfast, from disk"]
        assert speed == round(statistics.median(rounds))
        assert gpu_speed(size) == pytest.approx(speed)
    assert set(MEASURED) == {int(size) for size in figures}
    between = gpu_speed(2048)  # a third of the way from 1,024 to 8,192
    assert between == pytest.approx(436_561 ** (2 / 3) * 2_435_892 ** (1 / 3))
    assert gpu_speed(512) is None
    assert gpu_speed(262_144) is None


def test_time_and_memory_on_a_gpu_are_told(dataset):
    plan = plan_table(dataset, "sample")
    assert plan.gpu_s == pytest.approx(4 * 3 * 4 * 1024 / 436_561)  # networks, epochs, steps, rows; 4,200 rows
    told = "\n".join(plan.lines())
    assert "time for training on a GPU: about 0:00:00. Speeds of DeepFM on one NVIDIA H100 from bench/results" in told
    assert re.search(r"memory for training on a GPU: at most about \d+\.\d\d GiB, and \d+\.\d\d GiB of the mach", told)
    assert 0 < plan.gpu_bytes < plan.peak_bytes
    whole = [point.config for point in sweep_points(SweepConfig(base={"epochs": 10}, grid={"batch_size": [65_536]}))]
    assert gpu_seconds(whole, 41_256_556) == pytest.approx(629 * 65_536 * 10 / 4_021_549)
    tiny = sweep_points(SweepConfig(base={}, grid={"batch_size": [128, 1024]}))
    assert gpu_seconds([point.config for point in tiny], 41_256_556) is None


def test_tiny_has_data_of_its_own(tmp_path):
    made = paper_dataset(None, "tiny", tmp_path / "table")
    assert made.fitted.schema_.name == "criteo"
    assert paper_dataset(None, "tiny", tmp_path / "table").hash == made.hash
    plan = plan_table(made, "tiny")
    assert (plan.runs, plan.left_out) == (8, ())


def test_tiny_goes_on_from_clicks_that_were_not_prepared(tmp_path):
    synth(tmp_path / "table-clicks.tsv.gz", "criteo", 3_000, 2)
    made = paper_dataset(None, "tiny", tmp_path / "table")
    assert sum(made.rows(split) for split in SPLITS) == 3_000


def test_tiny_as_it_is_to_a_report(tmp_path):
    out = tmp_path / "table"
    arguments = ["reproduce", "cowclip", "--scale", "tiny", "--out", str(out)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "8 runs: deepfm, wide_deep, dcn, dcn_v2 x batch sizes 128, 512\n" in shown.stdout
    assert "time for training on a GPU" not in shown.stdout  # such sizes were not measured on one
    lines = [line.split() for line in shown.stdout.splitlines()]
    figures = {(line[0], line[1]): float(line[2]) for line in lines if line[:1] and line[0] in NETWORKS}
    assert set(figures) == {(name, size) for name in NETWORKS for size in ("128", "512")}
    assert all(55 < auc < 90 for auc in figures.values())  # in percent, better than chance
    assert (out / "report.html").read_text().count("<figure") == 3
    times = {file: file.stat().st_mtime_ns for file in out.glob("runs/*/receipt.json")}
    assert len(times) == len(list((out / "runs").iterdir())) == 8
    assert CliRunner().invoke(app, arguments).exit_code == 0  # all runs are there
    assert {file: file.stat().st_mtime_ns for file in times} == times
