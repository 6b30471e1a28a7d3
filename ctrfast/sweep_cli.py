"""`ctrfast sweep`: many runs, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctrfast.console import console, print_sweep
from ctrfast.errors import DataError, TrainingError
from ctrfast.store.outputs import local_path
from ctrfast.stored_folders import folder_of
from ctrfast.terminal import bar, stop_on_interrupt


def sweep(
    config: Annotated[
        Path, typer.Option(help="YAML with `base` (settings of all runs), `grid`, `search`, `prune` and `data`.")
    ],
    out: Annotated[str, typer.Option(help="Folder to write; one of a sweep on the same dataset: go on with it.")],
    data: Annotated[str | None, typer.Option(help="Dataset folder (default `data` of the file), or s3://...")] = None,
) -> None:
    """Train on a grid of settings, or search them; each point in a process of its own."""
    from ctrfast.data.shards import Dataset
    from ctrfast.sweep import run_sweep
    from ctrfast.sweep.grid import read_sweep

    target = local_path(out)
    settings, named = read_sweep(config)
    folder = folder_of(data, "data") if data is not None else named
    if folder is None:
        raise typer.BadParameter("Give --data, or `data` in the file.")
    dataset = Dataset.open(folder)
    with bar("points") as show, stop_on_interrupt() as should_stop:
        result = run_sweep(
            dataset,
            settings,
            target,
            on_progress=lambda progress: show(progress.done, progress.points, progress.point),
            should_stop=should_stop,
        )
    print_sweep(result)
    _picture(target)
    console.print(f"sweep: {out}")
    if result.failed:
        raise TrainingError(f"{len(result.failed):,} of {len(result.rows):,} points failed: see {out}/points.jsonl.")


def _picture(folder: Path) -> None:
    from ctrfast.lab.sweep_picture import picture_sweep  # matplotlib and pandas, which other commands do without

    try:
        console.print(f"picture: {picture_sweep(folder)}")
    except DataError as error:  # no run has ended well, or there are too many lines for one picture
        console.print(f"no picture: {error.message}")
