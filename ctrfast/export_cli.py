"""`ctrfast export` and `score`: a run as a bundle, and impressions scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctrfast.cli_options import Split
from ctrfast.console import console, print_costs
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.quiet_start import load_tensorflow
from ctrfast.schema import SPLITS
from ctrfast.store.outputs import Output, local_path
from ctrfast.stored_folders import folder_of, folders_of
from ctrfast.terminal import bar


def export(
    run: Annotated[str, typer.Argument(help="Run folder, or s3://...")],
    out: Annotated[str, typer.Option(help="Bundle folder to write, or s3://...")],
    saved_model: Annotated[bool, typer.Option("--saved-model", help="Also for TensorFlow Serving.")] = False,
    quantize: Annotated[str | None, typer.Option(help="Keep weights as float16, or int8 with scales.")] = None,
    prune: Annotated[float | None, typer.Option(help="Share of the MLP's hidden units to leave out.")] = None,
    prune_pairs: Annotated[
        float | None, typer.Option(help="Share of the weighted pairs of fields to leave out (fwfm, deep_fwfm).")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The run's dataset, to tell what --quantize, --prune and --prune-pairs cost.")
    ] = None,
    split: Split = "test",
    max_auc_drop: Annotated[float, typer.Option(help="Refuse what costs more AUC than that.")] = 0.0005,
    max_log_loss_rise: Annotated[float, typer.Option(help="Refuse what costs more log loss.")] = 0.0005,
    force: Annotated[bool, typer.Option("--force", help="Refuse nothing.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Also show what the other forms cost.")] = False,
) -> None:
    """Write the bundle that is published and scored."""
    output = Output(out)
    trained = folder_of(run, "run")
    if compare or any(option is not None for option in (quantize, prune, prune_pairs)):
        _export_compressed(
            trained,
            output.path,
            quantize,
            (prune, prune_pairs),
            folder_of(data, "data") if data is not None else None,
            split,
            None if force else (max_auc_drop, max_log_loss_rise),
            compare=compare,
            saved_model=saved_model,
        )
    else:
        load_tensorflow()

        from ctrfast.export import export_bundle

        export_bundle(trained, output.path, saved_model=saved_model)
    output.deliver()
    console.print(f"bundle: {out}")


def _export_compressed(
    run: Path,
    out: Path,
    quantize: str | None,
    shares: tuple[float | None, float | None],
    data: Path | None,
    split: str,
    limits: tuple[float, float] | None,
    *,
    compare: bool,
    saved_model: bool,
) -> None:
    """shares: of units, of pairs. limits: of AUC and log loss. What was measured is shown, also where it is refused."""
    from ctrfast.forms import Cost, Form, Gate

    form = Form(quantize or "float32", *shares)  # type: ignore[arg-type]
    gate = None if limits is None else Gate(*limits)
    if data is None:
        raise ConfigError("`data` must name the run's dataset, to tell what the form costs. Give --data.", path="data")
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS, path="split")
    load_tensorflow()

    from ctrfast.bundle import KIND
    from ctrfast.export_costs import export_compressed
    from ctrfast.folders import read_manifest

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
    if form.prune_pairs is not None:
        said = read_manifest(out, KIND)["quantization"]
        console.print(f"pairs: {said['pairs_kept']:,} of {said['pairs']:,} stay")


def score(
    model: Annotated[str, typer.Argument(help="Run or bundle folder, or s3://...")],
    inputs: Annotated[list[str], typer.Argument(help="Raw impressions, with or without label; or a dataset.")],
    out: Annotated[str, typer.Option(help="Parquet file to write: one `score` per row, in order.")],
    calibrated: Annotated[bool, typer.Option("--calibrated", help="Also a column `calibrated`.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from where a killed call stood.")] = False,
) -> None:
    """Score impressions: raw rows in, click probabilities out."""
    from ctrfast.batch_score import score_files
    from ctrfast.run import RECEIPT

    target = local_path(out)
    folder = folder_of(model, "model")
    if (folder / RECEIPT).is_file():  # a run is scored by its training graph, a bundle without TensorFlow
        load_tensorflow()

    with bar("rows") as show:
        scored = score_files(
            folder,
            folders_of(inputs),
            target,
            calibrated=calibrated,
            resume=resume,
            on_progress=lambda done: show(done, None),
        )
    kept = f"; {scored.kept_rows:,} were there before" if scored.kept_rows else ""
    console.print(f"{out}: {scored.rows:,} scores, {scored.rows_per_s:,.0f} rows/s{kept}")
    if any(scored.unseen.values()):
        counts = sorted(scored.unseen.items(), key=lambda item: -item[1])
        console.print("unseen values: " + ", ".join(f"{name} {count:,}" for name, count in counts))
