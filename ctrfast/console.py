"""What the command line shows of a report, an evaluation or an estimate: lines and tables on one console."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ctrfast.schema import SPLITS

if TYPE_CHECKING:  # numpy and arrow are loaded by the commands that need them
    from ctrfast.data.explain import FieldEncoding
    from ctrfast.data.prepare_progress import PrepareProgress, Speed
    from ctrfast.data.report import DataReport
    from ctrfast.explain import Explanation
    from ctrfast.forms import Cost
    from ctrfast.memory import MemoryEstimate
    from ctrfast.preflight import Finding, Preflight
    from ctrfast.segments import SegmentReport
    from ctrfast.sweep import SweepResult
    from ctrfast.sweep.groups import Group, Spread

console = Console(soft_wrap=True, highlight=False, markup=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

_MOST_WARNINGS = 20
_LONGEST_VALUE = 30  # characters shown
_COSTS_WIDTH = 112  # characters: a figure that a narrow terminal cuts off tells nothing


def print_report(report: DataReport) -> None:
    """What a dataset holds: rows and label rates by split, a line per field, and what to look at."""
    splits = [split for split in SPLITS if report.rows[split]]
    for split in splits:
        console.print(f"{split}: {report.rows[split]:,} rows, label rate {report.label_rate[split]:.4f}")
        for name, rate in report.label_rates.get(split, {}).items():
            console.print(f"  {name}: {rate:.4f} of the rows where it is known")
    if report.negative_rate != 1:
        console.print(f"train keeps {report.negative_rate:.4g} of its rows with label 0; models correct for it")
    console.print(f"rejected: {sum(report.rejected.values()):,} rows")
    size = f"{report.table_bytes / 2**20:,.1f} MiB at D = {report.embedding_dim}"
    console.print(f"embedding table: {report.table_rows:,} rows, {size}\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("field", no_wrap=True)
    later = splits[1:]
    for name in (
        "kept values",
        "missing",
        *(f"unseen {split}" for split in splits),
        *(f"PSI {split}" for split in later),
    ):
        table.add_column(name, justify="right")
    for number in report.numeric_fields:
        drift = (f"{number.psi[split]:.3f}" for split in later)
        table.add_row(number.name, "number", f"{number.missing_share['train']:.1%}", *("" for _ in splits), *drift)
    for field in report.id_fields:
        unseen = (f"{field.unseen_share[split]:.1%}" for split in splits)
        drift = (f"{field.psi[split]:.3f}" for split in later)
        table.add_row(field.name, f"{field.values:,}", f"{field.missing_share['train']:.1%}", *unseen, *drift)
    console.print(table)
    print_data_warnings(report)


def print_data_warnings(report: DataReport) -> None:
    """A line per warning with its remedy; the first ones where there are many."""
    if report.warnings:
        console.print()
    for warning in report.warnings[:_MOST_WARNINGS]:
        place = "" if warning.field is None else f"{warning.field}: "
        console.print(f"warning: {place}{warning.what} {warning.remedy}")
    if len(report.warnings) > _MOST_WARNINGS:
        console.print(f"{len(report.warnings) - _MOST_WARNINGS} more warnings: see --json or --html FILE")


def progress_note(progress: PrepareProgress, speed: Speed) -> str:
    """How far a preparation is, on one line: ` 42%  1,200,000 rows  310,000 rows/s  0:00:12 left`."""
    rate = "" if speed.rows_per_s is None else f"  {speed.rows_per_s:,.0f} rows/s"
    left = "" if speed.eta_s is None else f"  {timedelta(seconds=round(speed.eta_s))} left"
    return f"{progress.share:4.0%}  {progress.rows:,} rows{rate}{left}"


def print_memory(needs: MemoryEstimate, free_bytes: int) -> None:
    """Bytes by part, and the three fields that take most."""
    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    table.add_column("MiB", justify="right")
    for part, size in needs.by_part.items():
        table.add_row(part, f"{size / 2**20:,.1f}")
    wanted, free = needs.total_bytes / 2**30, free_bytes / 2**30
    console.print(f"\nmemory for training on CPU: at most about {wanted:,.2f} GiB; {free:,.2f} GiB are free")
    console.print(table)
    largest = sorted(needs.by_field.items(), key=lambda item: -item[1].bytes)[:3]
    fields = ", ".join(f"{name} {of.rows:,} rows ({of.bytes / 2**20:,.1f} MiB)" for name, of in largest)
    console.print(f"largest fields, weights and moments: {fields}")


def print_forecast(checked: Preflight) -> None:
    """The time that training will take, and the fields with most unseen values in later rows."""
    time = checked.time
    low, high = (timedelta(seconds=round(seconds)) for seconds in (time.low_s, time.high_s))
    console.print(
        f"\ntime for training on CPU: {low} to {high}, for {time.steps:,} steps of about {time.seconds_per_step:.3g} s"
    )
    console.print(time.basis)
    for split in SPLITS[1:]:
        shares = {field: of_field[split] for field, of_field in checked.unseen.items() if split in of_field}
        highest = sorted(shares.items(), key=lambda item: -item[1])[:3]
        if highest:
            console.print(f"most unseen in {split}: {', '.join(f'{name} {share:.1%}' for name, share in highest)}")


def print_findings(findings: Iterable[Finding]) -> None:
    """A line per finding."""
    for finding in findings:
        console.print(f"{finding.level}: {finding.message}")


def print_warnings(findings: Iterable[Finding]) -> None:
    """A line per finding on standard error: beside what a command prints, not of it."""
    for finding in findings:
        errors.print(f"{finding.level}: {finding.message}")


def print_metrics(metrics: Mapping[str, float]) -> None:
    """A line per figure."""
    for name, value in metrics.items():
        console.print(f"{name} {value:,.0f}" if name.endswith(("rows", "rows_per_s")) else f"{name} {value:.6f}")


def print_segments(report: SegmentReport) -> None:
    """A line per value, `-` for what its labels leave undefined, then the GAUC."""
    table = Table(box=None, pad_edge=False)
    table.add_column(report.field, no_wrap=True)
    for name in ("rows", "label rate", "auc", "log loss", "normalised entropy", "calibration ratio"):
        table.add_column(name, justify="right")
    for of in report.segments:
        figures = (of.label_rate, of.auc, of.log_loss, of.normalised_entropy, of.calibration_ratio)
        table.add_row(of.value, f"{of.rows:,}", *("-" if figure is None else f"{figure:.4f}" for figure in figures))
    console.print()
    console.print(table)
    gauc = "-" if report.gauc is None else f"{report.gauc:.6f}"
    left_out = f"{report.skipped_values:,} with one class alone are left out ({report.skipped_rows:,} rows)"
    console.print(f"gauc {gauc} over {report.values:,} values of {report.field}; {left_out}")


def print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Lines with aligned columns; none is cut, whatever the terminal's width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        console.print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_sweep(result: SweepResult) -> None:
    """A line per group of points that differ in their seed alone, then the points that failed, and the best."""
    if result.groups:
        head = (*result.groups[0].settings, "runs", "test AUC", "test log loss", "minutes", "rows/s")
        print_aligned([head, *map(_group_cells, result.groups)])
    if result.best is not None:
        console.print(f"best by validation AUC: {result.best.name} ({result.best.figures['valid_auc']:.4f})")
    for row in result.pruned:
        console.print(f"pruned: {row['name']}: {row['message']}")
    for row in result.failed:
        console.print(f"failed: {row['name']}: {row['reason']}: {row['message']}")


def _group_cells(group: Group) -> tuple[str, ...]:
    of = group.figures
    return (
        *(str(value) for value in group.settings.values()),
        str(group.runs),
        _spread(of.get("test_auc"), ".4f"),
        _spread(of.get("test_log_loss"), ".4f"),
        _spread(of.get("seconds"), ".1f", 1 / 60),
        _spread(of.get("rows_per_s"), ",.0f"),
    )


def _spread(spread: Spread | None, form: str, factor: float = 1.0) -> str:
    """Mean, and the standard deviation where there are several; `-` without any."""
    if spread is None:
        return "-"
    mean = f"{spread.mean * factor:{form}}"
    return mean if spread.sd is None else f"{mean} ± {spread.sd * factor:{form}}"


def print_costs(costs: Iterable[Cost]) -> None:
    """A line per form of a bundle: how well it scores, its weights and graph, and how long a call takes."""
    table = Table(box=None, pad_edge=False, width=_COSTS_WIDTH)
    table.add_column("weights", no_wrap=True)
    figures = {"auc": "AUC", "log_loss": "log loss", "ece": "ECE", "calibration_ratio": "calibration ratio"}
    for title in (*figures.values(), "MiB", "1 row, us", "1,000 rows, ms"):
        table.add_column(title, justify="right")
    for cost in costs:
        shown = (f"{cost.metrics[name]:.6f}" if name in cost.metrics else "-" for name in figures)
        latency = f"{cost.latency_s[1] * 1e6:,.0f}", f"{cost.latency_s[1000] * 1e3:,.2f}"
        table.add_row(cost.form.name, *shown, f"{cost.model_bytes / 2**20:,.2f}", *latency)
    console.print(table)


def print_explanation(explained: Explanation) -> None:
    """The score, a line per field, the largest contribution first, then the pairs."""
    base = 1 / (1 + math.exp(-explained.base))
    console.print(f"probability {explained.probability:.6f}, logit {explained.logit:.4f}")
    console.print(f"without any value: probability {base:.6f}, logit {explained.base:.4f}\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("field", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("adds to the logit", justify="right", no_wrap=True)
    for field in explained.fields:
        mark = " (unseen)" if field.unseen else ""
        table.add_row(field.name, f"{_shown(field.raw)}{mark}", f"{field.contribution:+.4f}")
    for pair in explained.pairs:
        table.add_row(f"{pair.first} with {pair.second}", "", f"{pair.contribution:+.4f}")
    console.print(table)


def print_encoding(fields: Iterable[FieldEncoding]) -> None:
    """A line per value: what it became, and the number or the row of the embedding table that the network gets."""
    table = Table(box=None, pad_edge=False)
    for name in ("field", "value", "became", "input"):
        table.add_column(name, no_wrap=True)
    for field in fields:
        if field.kind == "number":
            became = "missing" if field.number is None else f"{field.number:g}, transformed {field.transformed:g}"
            table.add_row(field.name, _shown(field.raw), became, f"{field.input:g}")
            continue
        for value in field.values:
            table.add_row(field.name, _shown(value.text), value.became, f"row {value.row}, id {value.id}")
        if field.left_out:
            table.add_row(field.name, "", "left_out", f"{field.left_out} values after the first {len(field.values)}")
    console.print(table)


def _shown(value: object) -> str:
    return "-" if value in (None, "") else str(value)[:_LONGEST_VALUE]
