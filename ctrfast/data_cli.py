"""`ctrfast synth`, `prepare` and `inspect`: raw clicks, datasets, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ctrfast.cli_options import Preset, Seed
from ctrfast.console import console, print_report, progress_note
from ctrfast.folders import write_file
from ctrfast.schema import load_schema
from ctrfast.schema import preset as find_preset
from ctrfast.store.outputs import Output
from ctrfast.stored_folders import folder_of
from ctrfast.terminal import bar

if TYPE_CHECKING:
    from ctrfast.data.prepare_progress import PrepareProgress


def synth(
    out: Annotated[Path, typer.Argument(help="File to write; .gz compresses it.")],
    rows: Annotated[int, typer.Option(min=1, help="Impressions.")],
    preset: Annotated[str, typer.Option(help="Columns of criteo, criteo_1tb or avazu.")] = "criteo",
    seed: Seed = 1,
    conversions: Annotated[
        bool, typer.Option("--conversions", help="Also what follows the clicks, as a second label, with its schema.")
    ] = False,
) -> None:
    """Write raw-format clicks from a known teacher, and the teacher's own AUC."""
    from ctrfast.data.synth import ConversionReport
    from ctrfast.data.synth import synth as write

    with bar("rows") as show:
        report = write(out, preset, rows, seed, on_progress=show, conversions=conversions)
    console.print(
        f"{out}: {report.rows:,} rows, label rate {report.label_rate:.4f}, "
        f"teacher AUC {report.teacher_auc:.4f}, teacher log loss {report.teacher_log_loss:.4f}"
    )
    if isinstance(report, ConversionReport):
        console.print(
            f"{out}.schema.yaml: conversions of clicks {report.conversion_rate:.4f}, "
            f"teacher AUC {report.conversion_auc:.4f}, teacher log loss {report.conversion_log_loss:.4f}"
        )


def prepare(
    raw: Annotated[
        list[str],
        typer.Argument(
            help="Raw click logs: .tsv, .csv, also .gz and .zst, and .parquet; files, folders, patterns, s3://..."
        ),
    ],
    out: Annotated[str, typer.Option(help="Dataset folder to write, or s3://...")],
    preset: Preset = None,
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML, instead of a preset.")] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Ids seen less often in training become unseen.")] = 1,
    split: Annotated[
        str, typer.Option(help="random; sequential or time: the last rows are the test split; or column.")
    ] = "random",
    split_column: Annotated[
        str | None, typer.Option(help="For --split column: raw column that holds train, valid or test.")
    ] = None,
    valid_fraction: Annotated[float, typer.Option(help="Share of rows for validation.")] = 0.1,
    test_fraction: Annotated[float, typer.Option(help="Share of rows for the test.")] = 0.1,
    negative_rate: Annotated[
        float, typer.Option(help="Share of training rows with label 0 to keep; models correct for it.")
    ] = 1.0,
    seed: Seed = 1,
    memory_limit: Annotated[
        str | None, typer.Option(help="Memory to stay within, as in 4GB (of each of --workers); half of what is free.")
    ] = None,
    vocabulary_from: Annotated[
        str | None, typer.Option(help="Take vocabularies and statistics from this dataset, run or bundle.")
    ] = None,
    grow: Annotated[bool, typer.Option("--grow", help="Append new values to --vocabulary-from; all ids stay.")] = False,
    max_bad_rows: Annotated[
        str | None, typer.Option(metavar="N|x%", help="Stop where more rows are bad: a number, or a share as in 0.1%.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that do the work, on Ray; else this one's threads.")
    ] = None,
) -> None:
    """Turn raw click logs into a dataset: vocabularies, parquet shards, manifest."""
    from ctrfast.cluster_tasks import task_pool
    from ctrfast.data.prepare import parse_bytes
    from ctrfast.data.prepare import prepare as write

    if (preset is None) == (schema is None):
        raise typer.BadParameter("Give either --preset or --schema.")
    meaning = find_preset(preset) if preset is not None else load_schema(schema)  # type: ignore[arg-type]
    output = Output(out)
    earlier = folder_of(vocabulary_from, "vocabulary_from") if vocabulary_from is not None else None
    with task_pool(workers) as pool, _prepare_bar() as show:
        report = write(
            raw,
            meaning,
            output.path,
            min_count=min_count,
            split=split,
            split_column=split_column,
            valid_fraction=valid_fraction,
            test_fraction=test_fraction,
            negative_rate=negative_rate,
            seed=seed,
            memory_limit=parse_bytes(memory_limit) if memory_limit is not None else None,
            vocabulary_from=earlier,
            grow=grow,
            max_bad_rows=max_bad_rows,
            on_progress=show,
            pool=pool,
        )
    output.deliver()
    rows = ", ".join(f"{name} {count:,}" for name, count in report.rows.items())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.rejected.items())
    rejected = f"{sum(report.rejected.values()):,} ({reasons})" if reasons else "0"
    dropped = f"; dropped {report.dropped:,} without a click" if report.dropped else ""
    console.print(f"{out}: {rows} rows; {report.table_rows:,} embedding rows; rejected {rejected}{dropped}")


def inspect(
    dataset: Annotated[str, typer.Argument(help="Dataset folder, or s3://...")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all figures.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as one HTML page.")] = None,
) -> None:
    """Show what a dataset holds: rows, label rates, per field its missing and unseen shares and drift; and warnings."""
    from ctrfast.data.report import inspect_dataset
    from ctrfast.data.shards import Dataset

    report = inspect_dataset(Dataset.open(folder_of(dataset, "dataset")))
    if html is not None:
        from ctrfast.data.report.page import page

        write_file(html, page(report))
    if as_json:
        console.print_json(report.model_dump_json())
    else:
        print_report(report)


@contextmanager
def _prepare_bar() -> Iterator[Callable[[PrepareProgress], None]]:
    """Stage, share of the whole work, rows and rows/s of the stage, and the time that is left."""
    from ctrfast.data.prepare_progress import Pace

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    terminal, pace = Console(stderr=True), Pace()
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("read", total=1.0, note="")

        def show(progress: PrepareProgress) -> None:
            note = progress_note(progress, pace.after(progress))
            bar.update(task, completed=progress.share, description=progress.stage, note=note)

        yield show
