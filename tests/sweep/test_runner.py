"""A sweep's points one after the other: what is skipped, repeated, listed and refused. The points are stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ctrfast.errors import Cancelled, ConfigError
from ctrfast.sweep import parse_sweep, run_sweep
from tests.sweep import point_program
from tests.tiny_clicks import SETTINGS, learnable, make_dataset

COMMAND = (sys.executable, point_program.__file__)
STAND_IN = {"command": COMMAND}


def sweep_of(*seeds, **base):
    return parse_sweep({"base": {**SETTINGS, **base}, "grid": {"scaling.rule": ["none"], "seed": list(seeds)}})


def states(result):
    return [(row["state"], row["reason"]) for row in result.rows]


def starts(out: Path) -> dict[str, int]:
    """How often each point's process began."""
    return {log.stem.rpartition("=")[2]: log.read_text().count("seed ") for log in (out / "logs").iterdir()}


def test_points_that_fail_are_listed_and_the_others_go_on(tiny_dataset, tmp_path):
    out, told = tmp_path / "sweep", []
    failing = (point_program.NAN, point_program.KILLED, point_program.SILENT, point_program.FULL)
    config = sweep_of(1, *failing, 2)
    result = run_sweep(tiny_dataset, config, out, on_progress=told.append, **STAND_IN)
    expected = ["succeeded", "nan_loss", "crashed", "crashed", "storage", "succeeded"]
    assert [row["reason"] or row["state"] for row in result.rows] == expected
    assert "SIGKILL" in result.rows[2]["message"]
    assert "code 3" in result.rows[3]["message"]
    assert len(result.failed) == 4
    (group,) = result.groups
    assert (group.runs, group.figures["test_auc"].mean) == (2, pytest.approx(0.715))
    assert result.best is not None
    assert result.best.name == "rule=none_seed=2"
    assert [progress.done for progress in told][:3] == [0, 0.5, 1]
    assert told[-1].done == told[-1].points == 6

    rows = [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()]
    assert rows == list(result.rows)
    assert (rows[0]["plan"]["rule"], rows[0]["seconds"], rows[0]["rows_per_s"]) == ("none", 30.0, 1000.0)
    table = pq.read_table(out / "results.parquet").to_pydict()
    assert table["setting.seed"] == [1, *failing, 2]
    assert table["metrics.test_auc"] == [0.71, None, None, None, None, 0.72]
    assert table["plan.l2"] == [1e-4] * 6
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["states"], summary["best"]) == ({"failed": 4, "succeeded": 2}, "rule=none_seed=2")

    again = run_sweep(tiny_dataset, config, out, **STAND_IN)  # what a new try could mend is tried again
    assert states(again) == states(result)
    assert starts(out) == {"1": 1, "2": 1, "100": 1, "101": 2, "102": 2, "104": 2}


def test_a_stop_keeps_what_has_ended(tiny_dataset, tmp_path):
    out = tmp_path / "sweep"
    at_work = []

    def stop_in_the_slow_one() -> bool:
        return bool(at_work) and at_work[-1].done == 1.5

    with pytest.raises(Cancelled, match="after 1 of 3 points"):
        config = sweep_of(1, point_program.SLOW, 2)
        run_sweep(tiny_dataset, config, out, on_progress=at_work.append, should_stop=stop_in_the_slow_one, **STAND_IN)
    rows = [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()]
    assert [row["state"] for row in rows] == ["succeeded", "queued", "queued"]


def test_another_datasets_sweep_and_one_at_work_are_refused(tiny_dataset, tmp_path, monkeypatch):
    out = tmp_path / "sweep"
    run_sweep(tiny_dataset, sweep_of(1), out, **STAND_IN)
    other = make_dataset(tmp_path, learnable(900, seed=8))
    with pytest.raises(ConfigError, match="started on another dataset"):
        run_sweep(other, sweep_of(1), out, **STAND_IN)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="exists already"):
        run_sweep(tiny_dataset, sweep_of(1), tmp_path / "other", **STAND_IN)
    from ctrfast.sweep import folder

    monkeypatch.setattr(folder, "_PATIENCE_S", 0.2)
    with (
        folder.opened(out, sweep_of(1), tiny_dataset.hash),
        pytest.raises(ConfigError, match="Another sweep is at work"),
    ):
        run_sweep(tiny_dataset, sweep_of(1), out, **STAND_IN)


def test_a_point_that_the_data_cannot_serve_is_refused_before_any_runs(tiny_dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"The point batch_size=3000: .*2,700 rows") as caught:
        run_sweep(tiny_dataset, parse_sweep({"grid": {"batch_size": [250, 3000]}}), tmp_path / "sweep", **STAND_IN)
    assert caught.value.path == "grid.batch_size"
    assert not (tmp_path / "sweep").exists()
