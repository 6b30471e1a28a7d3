"""A job's report in other forms than JSON: as a plain page, without script and with nothing loaded from elsewhere.

A sweep's page has the laboratory's pictures, and its runs are to be had as one parquet table.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.data.report.tags import Cell, document, plain, table, text
from ctrfast.sweep.table import runs_table
from service.job_reports import SweepReport, TrainReport
from service.states import State

_FIGURES = {
    "test_auc": "test AUC",
    "test_log_loss": "test log loss",
    "valid_auc": "valid AUC",
    "seconds": "seconds",
    "rows_per_s": "rows/s",
}
_NUMBERS = {"batch_size": pa.int64(), "seconds": pa.float64(), "epoch_s": pa.float64()}  # of a run, unless unknown


def train_page(report: TrainReport) -> str:
    """A training's report as HTML."""
    plan = report.plan.model_dump(exclude={"reasons", "rule", "preset"})
    settings: list[list[Cell]] = [
        [plain(name), plain(_shown(value)), plain(report.plan.reasons[name])] for name, value in plan.items()
    ]
    figures: list[list[Cell]] = [[plain(name), _shown(value)] for name, value in report.metrics.items()]
    shares: list[list[Cell]] = [[plain(name), f"{share:.2%}"] for name, share in report.clipped_share_by_field.items()]
    parts = [
        f"<p>Rule {text(report.plan.rule)}, {report.steps:,} steps, ended by {text(report.ended_by)} after "
        f"{report.train_s:,.0f} s at {report.rows_per_s:,.0f} rows/s, {text(report.finished_at)}.</p>",
        table("Final figures", ("figure", "value"), figures),
        table("Settings in force", ("setting", "value", "reason"), settings),
        table("Share of clipped rows in the last recorded steps", ("field", "share"), shares) if shares else "",
    ]
    return document(f"Training {report.job}", parts)


def sweep_page(report: SweepReport) -> str:
    """A sweep's report as HTML."""
    names = list(report.runs[0].settings) if report.runs else []
    chosen = [name for name in _FIGURES if any(name in group["figures"] for group in report.groups)]
    tried = list(report.groups[0]["settings"]) if report.groups else []
    groups: list[list[Cell]] = [
        [
            plain(", ".join(f"{name}={_shown(group['settings'][name])}" for name in tried) or "all"),
            str(group["runs"]),
            *(_spread(group["figures"].get(name)) for name in chosen),
        ]
        for group in report.groups
    ]
    runs: list[list[Cell]] = [
        [
            plain(run.job),
            *(plain(_shown(run.settings[name])) for name in names),
            plain(run.reason or run.state),
            _shown(run.metrics.get("test_auc")),
            _shown(run.metrics.get("valid_auc")),
        ]
        for run in report.runs
    ]
    best = report.best
    parts = [
        f"<p>Best by validation AUC: {text(best['job'])} ({best['valid_auc']:.6f}).</p>" if best else "",
        table(
            "Mean ± sample standard deviation over seeds",
            ("settings", "runs", *map(_FIGURES.__getitem__, chosen)),
            groups,
        )
        if groups
        else "<p>No run has succeeded.</p>",
        *_sweep_pictures(report),
        table("Runs", ("job", *names, "state", "test AUC", "valid AUC"), runs) if runs else "",
    ]
    return document(f"Sweep {report.job}", parts)


def sweep_parquet(report: SweepReport) -> bytes:
    """A sweep's runs as a parquet file, in the columns of `runs_table`; numbers stay so where no run has one."""
    table = runs_table([run.model_dump(mode="json") for run in report.runs])
    schema = pa.schema([field.with_type(_NUMBERS.get(field.name, field.type)) for field in table.schema])
    out = io.BytesIO()
    pq.write_table(table.cast(schema), out)
    return out.getvalue()


def _sweep_pictures(report: SweepReport) -> Iterator[str]:
    """Of the runs that have succeeded."""
    done = [run for run in report.runs if run.state == State.SUCCEEDED]
    if not done:
        return
    # With pandas and matplotlib, which the API does without until then.
    from ctrfast.lab.batch_size_page import EPOCH_TIME, batch_size_figures
    from ctrfast.lab.run_frame import runs

    frame = runs(report.model_copy(update={"runs": done}).model_dump(mode="json"))
    notes = {EPOCH_TIME: "Time counts from a run's first start to its end, waits included."}
    yield from batch_size_figures(frame, notes=notes)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _spread(spread: Mapping[str, Any] | None) -> str:
    if spread is None:
        return "-"
    return _shown(spread["mean"]) + ("" if spread["sd"] is None else f" ± {spread['sd']:.2g}")
