"""`ctrfast plan`, `train` and `evaluate`: settings, a run, and how good it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from ctrfast.allocator import keep_freed_memory
from ctrfast.cli_options import Assignments, BaseBatchSize, BatchSize, ConfigFile, Split
from ctrfast.cluster_address import is_elsewhere
from ctrfast.config import RULE_NAMES, load_config
from ctrfast.console import (
    console,
    print_findings,
    print_forecast,
    print_memory,
    print_metrics,
    print_segments,
    print_warnings,
)
from ctrfast.errors import unknown_name
from ctrfast.model_config import MODEL_NAMES
from ctrfast.quiet_start import load_tensorflow
from ctrfast.schema import SPLITS
from ctrfast.schema import preset as find_preset
from ctrfast.store.outputs import Output
from ctrfast.stored_folders import folder_of, folders_of
from ctrfast.terminal import bar, stop_on_interrupt


def plan(
    rule: Annotated[str | None, typer.Option(help=f"{', '.join(RULE_NAMES)} (default cowclip).")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Whose published values to start from: criteo or avazu (default the dataset's, criteo without one)."
        ),
    ] = None,
    batch_size: BatchSize = None,
    base_batch_size: BaseBatchSize = None,
    config: ConfigFile = None,
    set_: Assignments = None,
    data: Annotated[
        str | None, typer.Option(help="Dataset folder, or s3://...; adds findings, memory and time of a training.")
    ] = None,
) -> None:
    """Show the settings that a scaling rule gives for a batch size, each with its reason."""
    from ctrfast.data.shards import Dataset
    from ctrfast.machine_memory import available_memory
    from ctrfast.optim.scaling import make_plan
    from ctrfast.preflight import preflight

    dataset = Dataset.open(folder_of(data, "data"), verify=False) if data is not None else None
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
    for name, value in resolved.settings.items():
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


def train(
    data: Annotated[str, typer.Option(help="Dataset folder, or s3://...")],
    out: Annotated[str, typer.Option(help="Run folder to write, or s3://...")],
    model: Annotated[str | None, typer.Option(help=f"{', '.join(MODEL_NAMES)} (default deepfm).")] = None,
    batch_size: BatchSize = None,
    scaling: Annotated[str | None, typer.Option(help=f"{', '.join(RULE_NAMES)} (default cowclip).")] = None,
    base_batch_size: BaseBatchSize = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split (default 1).")] = None,
    config: ConfigFile = None,
    set_: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same run (default 1).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    warm_start: Annotated[str | None, typer.Option(help="Run to take the first weights from.")] = None,
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
    from ctrfast.preflight import examine, examine_files, refuse, unseen_findings, unseen_shares, workers_findings
    from ctrfast.run import refuse_taken_run

    output = Output(out)
    refuse_taken_run(output.path, resume=resume)
    folder = folder_of(data, "data")
    first = folder_of(warm_start, "warm_start") if warm_start is not None else None
    unverified = Dataset.open(folder, verify=False)
    available = None if is_elsewhere(settings.cluster) else available_memory()
    findings = [*examine_files(unverified, settings, available), *examine(unverified, settings, available)]
    refuse(findings)
    findings += unseen_findings(unverified, unseen_shares(unverified))
    print_warnings(finding for finding in findings if finding.level == "warning")
    print_findings(workers_findings(unverified, settings))
    dataset = Dataset.open(folder)
    keep_freed_memory()
    load_tensorflow()

    from ctrfast.train import train as run

    if resume:
        output.take_up()
    with bar("steps") as show:

        def on_progress(progress: Any) -> None:
            figures = progress.metrics
            note = "  ".join(f"{name} {figures[name]:.4f}" for name in ("loss", "valid_auc") if name in figures)
            rate = f"{figures['rows_per_s']:,.0f} rows/s" if "rows_per_s" in figures else ""
            show(progress.step, progress.total_steps, f"epoch {progress.epoch + 1}  {note}  {rate}")

        with stop_on_interrupt() as should_stop, output.mirrored():
            result = run(
                dataset,
                settings,
                output.path,
                resume=resume,
                on_progress=on_progress,
                should_stop=should_stop,
                warm_start=first,
            )
    output.deliver()
    print_metrics({name: v for name, v in result.metrics.items() if name.startswith(SPLITS) or name == "rows_per_s"})
    console.print(f"run: {out}")


def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder, or s3://...")],
    data: Annotated[list[str], typer.Option(help="Dataset folder, or raw files with labels; also s3://...")],
    split: Split = "test",
    segment: Annotated[str | None, typer.Option(help="Id field; adds figures by its values.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print AUC, log loss and calibration of a run."""
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS, path="split")
    load_tensorflow()

    from ctrfast.evaluate import evaluate as measure

    evaluation = measure(folder_of(run, "run"), folders_of(data), split, segment=segment)
    if as_json:
        console.print_json(data=asdict(evaluation))
        return
    print_metrics(evaluation.metrics)
    if evaluation.segments is not None:
        print_segments(evaluation.segments)
