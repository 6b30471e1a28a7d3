"""`ctrfast distil`: one dense student of a run's experts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctrfast.allocator import keep_freed_memory
from ctrfast.cli_options import Split
from ctrfast.console import console, print_aligned
from ctrfast.errors import unknown_name
from ctrfast.model_config import MODEL_NAMES
from ctrfast.quiet_start import load_tensorflow
from ctrfast.schema import SPLITS
from ctrfast.stored_folders import folder_of
from ctrfast.terminal import bar, stop_on_interrupt

if TYPE_CHECKING:
    from ctrfast.distillation import Distillation


def distil(
    run: Annotated[str, typer.Argument(help="Finished run of the tower moe, or s3://...")],
    data: Annotated[str, typer.Option(help="The dataset that it was trained on, or s3://...")],
    out: Annotated[Path, typer.Option(help="Folder to write: student, alone, report.json.")],
    into: Annotated[str, typer.Option(help="The student's network.")] = "deepfm",
    share: Annotated[float, typer.Option(help="Of the teacher's probability in a label, 0 to 1.")] = 0.5,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the student (default the teacher's).")] = None,
    split: Split = "test",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier call was ended.")] = False,
) -> None:
    """Merge a run's experts into one dense network, train it on, and compare the two."""
    if into not in MODEL_NAMES:
        raise unknown_name("model", into, MODEL_NAMES, path="into")
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS, path="split")
    keep_freed_memory()
    load_tensorflow()

    from ctrfast.distillation import REPORT
    from ctrfast.distillation import distil as work

    with bar("steps") as show, stop_on_interrupt() as should_stop:
        told = work(
            folder_of(run, "run"),
            folder_of(data, "data"),
            out,
            into=into,
            share=share,
            epochs=epochs,
            split=split,
            resume=resume,
            on_progress=lambda who, progress: show(
                progress.step, progress.total_steps, f"{who}, epoch {progress.epoch + 1}"
            ),
            should_stop=should_stop,
        )
    _print(told)
    console.print(f"report: {out / REPORT}")


def _print(told: Distillation) -> None:
    console.print(f"{told.split}: {told.rows:,} rows")
    rows = [
        (
            each.who,
            each.model,
            each.tower,
            f"{each.auc:.5f}",
            f"{each.log_loss:.5f}",
            f"{each.weights:,}",
            f"{each.model_bytes / 2**20:,.2f}",
            f"{each.row_latency_us:,.0f}",
        )
        for each in told.networks
    ]
    print_aligned([("", "network", "tower", "AUC", "log loss", "weights", "MiB", "1 row, us"), *rows])
