"""The command line `ctrfast`. On error: one clear line on stderr, and an exit code that is not 0."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter; set it to 0 to see all

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ctrfast import __version__
from ctrfast.allocator import keep_freed_memory
from ctrfast.cluster_address import is_elsewhere
from ctrfast.config import MODEL_NAMES, RULE_NAMES, load_config
from ctrfast.console import (
    console,
    print_costs,
    print_findings,
    print_forecast,
    print_memory,
    print_metrics,
    print_report,
    print_segments,
    print_sweep,
    progress_note,
)
from ctrfast.errors import Cancelled, ConfigError, CtrFastError, TrainingError, unknown_name
from ctrfast.explain_cli import explain
from ctrfast.folders import write_file
from ctrfast.jobs_cli import jobs_app
from ctrfast.schema import SPLITS, load_schema
from ctrfast.schema import preset as find_preset

if TYPE_CHECKING:
    from ctrfast.data.prepare_progress import PrepareProgress

app = typer.Typer(
    help="Large-batch CTR training with CowClip and batch-size scaling rules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(jobs_app, name="jobs")
app.command()(explain)
Preset = Annotated[str | None, typer.Option(help="Columns of a public data set: criteo, criteo_1tb or avazu.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
ConfigFile = Annotated[Path | None, typer.Option(help="Settings as YAML.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting (optimizer.l2=1e-5); wins."),
]
BatchSize = Annotated[int | None, typer.Option(help="Rows per optimizer step (default 1024).")]
BaseBatchSize = Annotated[int | None, typer.Option(help="Batch size at which the optimizer's values were tuned.")]
Split = Annotated[str, typer.Option(help="Which split of a dataset: train, valid or test.")]


def main() -> None:
    """Run the command line."""
    try:
        app()
    except Cancelled as error:
        _fail(error.message, code=130)
    except CtrFastError as error:
        _fail(error.message)
    except MemoryError:
        _fail("The memory of this machine does not suffice. Use fewer rows, a higher --min-count or a smaller model.")
    except OSError as error:  # a full disk, a folder without permission
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        console.print(f"ctrfast {__version__}")
        raise typer.Exit


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="File to write; .gz compresses it.")],
    rows: Annotated[int, typer.Option(min=1, help="Impressions.")],
    preset: Annotated[str, typer.Option(help="Columns of criteo, criteo_1tb or avazu.")] = "criteo",
    seed: Seed = 1,
) -> None:
    """Write raw-format clicks from a known teacher, and the teacher's own AUC."""
    from ctrfast.data.synth import synth as write

    with _bar("rows") as show:
        report = write(out, preset, rows, seed, on_progress=show)
    console.print(
        f"{out}: {report.rows:,} rows, label rate {report.label_rate:.4f}, "
        f"teacher AUC {report.teacher_auc:.4f}, teacher log loss {report.teacher_log_loss:.4f}"
    )


@app.command()
def prepare(
    raw: Annotated[
        list[str],
        typer.Argument(
            help="Raw click logs: .tsv, .csv, also .gz and .zst, and .parquet; files, folders, patterns, s3://..."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Dataset folder to write.")],
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
        str | None, typer.Option(help="Memory to stay within, as in 4GB; half of what is free.")
    ] = None,
    vocabulary_from: Annotated[
        Path | None, typer.Option(help="Take vocabularies and statistics from this dataset, run or bundle.")
    ] = None,
    grow: Annotated[bool, typer.Option("--grow", help="Append new values to --vocabulary-from; all ids stay.")] = False,
    max_bad_rows: Annotated[
        str | None, typer.Option(metavar="N|x%", help="Stop where more rows are bad: a number, or a share as in 0.1%.")
    ] = None,
) -> None:
    """Turn raw click logs into a dataset: vocabularies, parquet shards, manifest."""
    from ctrfast.data.prepare import parse_bytes
    from ctrfast.data.prepare import prepare as write

    if (preset is None) == (schema is None):
        raise typer.BadParameter("Give either --preset or --schema.")
    meaning = find_preset(preset) if preset is not None else load_schema(schema)  # type: ignore[arg-type]
    with _prepare_bar() as show:
        report = write(
            raw,
            meaning,
            out,
            min_count=min_count,
            split=split,
            split_column=split_column,
            valid_fraction=valid_fraction,
            test_fraction=test_fraction,
            negative_rate=negative_rate,
            seed=seed,
            memory_limit=parse_bytes(memory_limit) if memory_limit is not None else None,
            vocabulary_from=vocabulary_from,
            grow=grow,
            max_bad_rows=max_bad_rows,
            on_progress=show,
        )
    rows = ", ".join(f"{name} {count:,}" for name, count in report.rows.items())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.rejected.items())
    rejected = f"{sum(report.rejected.values()):,} ({reasons})" if reasons else "0"
    dropped = f"; dropped {report.dropped:,} without a click" if report.dropped else ""
    console.print(f"{out}: {rows} rows; {report.table_rows:,} embedding rows; rejected {rejected}{dropped}")


@app.command()
def inspect(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all figures.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as one HTML page.")] = None,
) -> None:
    """Show what a dataset holds: rows, label rates, per field its missing and unseen shares and drift; and warnings."""
    from ctrfast.data.report import inspect_dataset
    from ctrfast.data.shards import Dataset

    report = inspect_dataset(Dataset.open(dataset))
    if html is not None:
        from ctrfast.data.report.page import page

        write_file(html, page(report))
    if as_json:
        console.print_json(report.model_dump_json())
    else:
        print_report(report)


@app.command()
def plan(
    rule: Annotated[str | None, typer.Option(help=f"{', '.join(RULE_NAMES)} (default cowclip).")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Whose published values to start from: criteo or avazu (default the dataset's).")
    ] = None,
    batch_size: BatchSize = None,
    base_batch_size: BaseBatchSize = None,
    config: ConfigFile = None,
    set_: Assignments = None,
    data: Annotated[
        Path | None, typer.Option(help="Dataset folder; adds findings, memory and time of a training.")
    ] = None,
) -> None:
    """Show the settings that a scaling rule gives for a batch size, each with its reason."""
    from ctrfast.data.shards import Dataset
    from ctrfast.machine_memory import available_memory
    from ctrfast.optim.scaling import make_plan
    from ctrfast.preflight import preflight

    dataset = Dataset.open(data, verify=False) if data is not None else None
    if preset is not None:
        find_preset(preset)
    else:
        preset = dataset.fitted.schema_.name if dataset is not None else "criteo"
    settings = load_config(
        config,
        set_ or [],
        {"scaling.rule": rule, "batch_size": batch_size, "scaling.base_batch_size": base_batch_size},
    )
    resolved = make_plan(settings, preset)
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("reason")
    for name, value in resolved.model_dump(exclude={"reasons", "rule", "preset"}).items():
        shown = "-" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"
        table.add_row(name, shown, resolved.reasons[name])
    console.print(f"rule {resolved.rule}, {preset}")
    console.print(table)
    if dataset is not None:
        free = available_memory()
        checked = preflight(dataset, settings, free)
        print_memory(checked.memory, free)
        print_forecast(checked)
        print_findings(checked.findings)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Dataset folder.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    model: Annotated[str | None, typer.Option(help=f"{', '.join(MODEL_NAMES)} (default deepfm).")] = None,
    batch_size: BatchSize = None,
    scaling: Annotated[str | None, typer.Option(help=f"{', '.join(RULE_NAMES)} (default cowclip).")] = None,
    base_batch_size: BaseBatchSize = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split (default 1).")] = None,
    config: ConfigFile = None,
    set_: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same run (default 1).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    warm_start: Annotated[Path | None, typer.Option(help="Run to take the first weights from.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that train together, on Ray.")] = None,
) -> None:
    """Train a model and leave a run folder."""
    overrides = {
        "model.name": model,
        "batch_size": batch_size,
        "scaling.rule": scaling,
        "scaling.base_batch_size": base_batch_size,
        "epochs": epochs,
        "seed": seed,
        "cluster.workers": workers,
    }
    settings = load_config(config, set_ or [], overrides)
    from ctrfast.data.shards import Dataset
    from ctrfast.machine_memory import available_memory
    from ctrfast.preflight import examine, refuse, unseen_findings, unseen_shares

    unverified = Dataset.open(data, verify=False)
    findings = examine(unverified, settings, None if is_elsewhere(settings.cluster) else available_memory())
    refuse(findings)
    findings += tuple(unseen_findings(unverified, unseen_shares(unverified)))
    print_findings(finding for finding in findings if finding.level == "warning")
    dataset = Dataset.open(data)
    keep_freed_memory()
    _load_tensorflow()

    from ctrfast.train import train as run

    with _bar("steps") as show:

        def on_progress(progress: Any) -> None:
            figures = progress.metrics
            note = "  ".join(f"{name} {figures[name]:.4f}" for name in ("loss", "valid_auc") if name in figures)
            rate = f"{figures['rows_per_s']:,.0f} rows/s" if "rows_per_s" in figures else ""
            show(progress.step, progress.total_steps, f"epoch {progress.epoch + 1}  {note}  {rate}")

        with _stop_on_interrupt() as should_stop:
            result = run(
                dataset,
                settings,
                out,
                resume=resume,
                on_progress=on_progress,
                should_stop=should_stop,
                warm_start=warm_start,
            )
    print_metrics({name: v for name, v in result.metrics.items() if name.startswith(SPLITS) or name == "rows_per_s"})
    console.print(f"run: {out}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[list[str], typer.Option(help="Dataset folder, or raw files with labels.")],
    split: Split = "test",
    segment: Annotated[str | None, typer.Option(help="Id field; adds figures by its values.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print AUC, log loss and calibration of a run."""
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS, path="split")
    _load_tensorflow()

    from ctrfast.evaluate import evaluate as measure

    evaluation = measure(run, data, split, segment=segment)
    if as_json:
        console.print_json(data=asdict(evaluation))
        return
    print_metrics(evaluation.metrics)
    if evaluation.segments is not None:
        print_segments(evaluation.segments)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Bundle folder to write.")],
    saved_model: Annotated[bool, typer.Option("--saved-model", help="Also for TensorFlow Serving.")] = False,
    quantize: Annotated[str | None, typer.Option(help="Keep weights as float16, or int8 with scales.")] = None,
    prune: Annotated[float | None, typer.Option(help="Share of the MLP's hidden units to leave out.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The run's dataset, to tell what --quantize and --prune cost.")
    ] = None,
    split: Split = "test",
    max_auc_drop: Annotated[float, typer.Option(help="Refuse what costs more AUC than that.")] = 0.0005,
    max_log_loss_rise: Annotated[float, typer.Option(help="Refuse what costs more log loss.")] = 0.0005,
    force: Annotated[bool, typer.Option("--force", help="Refuse nothing.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Also show what the other forms cost.")] = False,
) -> None:
    """Write the bundle that is published and scored."""
    if quantize is not None or prune is not None or compare:
        _export_compressed(
            run,
            out,
            quantize,
            prune,
            data,
            split,
            None if force else (max_auc_drop, max_log_loss_rise),
            compare=compare,
            saved_model=saved_model,
        )
    else:
        _load_tensorflow()

        from ctrfast.export import export_bundle

        export_bundle(run, out, saved_model=saved_model)
    console.print(f"bundle: {out}")


def _export_compressed(
    run: Path,
    out: Path,
    quantize: str | None,
    prune: float | None,
    data: Path | None,
    split: str,
    limits: tuple[float, float] | None,
    *,
    compare: bool,
    saved_model: bool,
) -> None:
    """limits: of AUC and log loss. What was measured is shown, also where it is refused."""
    from ctrfast.forms import Cost, Form, Gate

    form = Form(quantize or "float32", prune)  # type: ignore[arg-type]
    gate = None if limits is None else Gate(*limits)
    if data is None:
        raise ConfigError("`data` must name the run's dataset, to tell what the form costs. Give --data.", path="data")
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS, path="split")
    _load_tensorflow()

    from ctrfast.export_costs import export_compressed

    costs: list[Cost] = []
    try:
        export_compressed(
            run,
            out,
            form,
            data,
            split=split,
            gate=gate,
            compare=compare,
            saved_model=saved_model,
            on_cost=costs.append,
        )
    finally:
        if costs:
            print_costs(costs)


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="Run or bundle folder.")],
    inputs: Annotated[list[str], typer.Argument(help="Raw impressions, with or without label; or a dataset.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write: one `score` per row, in order.")],
    calibrated: Annotated[bool, typer.Option("--calibrated", help="Also a column `calibrated`.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from where a killed call stood.")] = False,
) -> None:
    """Score impressions: raw rows in, click probabilities out."""
    from ctrfast.batch_score import score_files
    from ctrfast.run import RECEIPT

    if (model / RECEIPT).is_file():  # a run is scored by its training graph, a bundle without TensorFlow
        _load_tensorflow()

    with _bar("rows") as show:
        scored = score_files(
            model, inputs, out, calibrated=calibrated, resume=resume, on_progress=lambda done: show(done, None)
        )
    kept = f"; {scored.kept_rows:,} were there before" if scored.kept_rows else ""
    console.print(f"{out}: {scored.rows:,} scores, {scored.rows_per_s:,.0f} rows/s{kept}")
    if any(scored.unseen.values()):
        counts = sorted(scored.unseen.items(), key=lambda item: -item[1])
        console.print("unseen values: " + ", ".join(f"{name} {count:,}" for name, count in counts))


@app.command()
def sweep(
    config: Annotated[Path, typer.Option(help="YAML with `base` (settings of all runs), `grid` and `data`.")],
    out: Annotated[Path, typer.Option(help="Folder to write; of the same sweep: go on with it.")],
    data: Annotated[Path | None, typer.Option(help="Dataset folder (default `data` of the file).")] = None,
) -> None:
    """Train on a grid of settings (rules x batch sizes x seeds), each point in a process of its own."""
    from ctrfast.data.shards import Dataset
    from ctrfast.sweep import run_sweep
    from ctrfast.sweep.grid import read_sweep

    settings, named = read_sweep(config)
    folder = data or named
    if folder is None:
        raise typer.BadParameter("Give --data, or `data` in the file.")
    dataset = Dataset.open(folder)
    with _bar("points") as show, _stop_on_interrupt() as should_stop:
        result = run_sweep(
            dataset,
            settings,
            out,
            on_progress=lambda progress: show(progress.done, progress.points, progress.point),
            should_stop=should_stop,
        )
    print_sweep(result)
    console.print(f"sweep: {out}")
    if result.failed:
        raise TrainingError(f"{len(result.failed):,} of {len(result.rows):,} points failed: see {out}/points.jsonl.")


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """SIGTERM or the first Ctrl-C asks for a stop with a checkpoint, the second Ctrl-C ends at once."""
    interrupted = threading.Event()

    def on_interrupt(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {name: signal.signal(name, on_interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted.is_set
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _bar(unit: str) -> Iterator[Callable[..., None]]:
    """A progress bar; call it with (done, total or None, note)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}" + f" {unit}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def show(done: int, total: int | None, note: str = "") -> None:
            progress.update(task, completed=done, total=total, description=note)

        yield show


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


def _load_tensorflow() -> None:
    """Import TensorFlow without the lines that it writes before its log level can be set; an error brings them back."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _fail(message: str, code: int = 1) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {message}")
    sys.exit(code)
