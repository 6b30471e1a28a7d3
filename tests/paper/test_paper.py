"""The paper's table: what each scale runs, the published figures beside ours, and the report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.data.synth import synth
from ctrfast.errors import ConfigError
from ctrfast.optim.published import BATCH_SIZES, NETWORKS, PUBLISHED_AUC, PUBLISHED_MINUTES
from ctrfast.optim.scaling import make_plan
from ctrfast.paper import SCALES, PaperTable, paper_dataset, plan_table, write_report
from ctrfast.paper.picture import draw_auc
from ctrfast.schema import SPLITS
from ctrfast.sweep import sweep_points


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
    assert "data:image/svg+xml;base64," in page
    assert "80.86" in page
    assert "<script" not in page
    picture = draw_auc(table)
    assert ET.fromstring(picture).tag.endswith("svg")
    assert draw_auc(table) == picture


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


def test_tiny_to_a_report(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "tiny", replace(SCALES["tiny"], batch_sizes=(512, 1024)))  # the second is too large
    out = tmp_path / "table"
    arguments = ["reproduce", "cowclip", "--scale", "tiny", "--dataset", str(tiny_dataset.path), "--out", str(out)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "4 runs: deepfm, wide_deep, dcn, dcn_v2 x batch sizes 512\nleft out" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert sum(line[:1] == [name] for name in NETWORKS for line in lines) == 4
    assert (out / "report.html").is_file()
    times = {file: file.stat().st_mtime_ns for file in out.glob("runs/*/receipt.json")}
    assert len(times) == len(list((out / "runs").iterdir()))
    assert CliRunner().invoke(app, arguments).exit_code == 0  # all runs are there
    assert {file: file.stat().st_mtime_ns for file in times} == times
