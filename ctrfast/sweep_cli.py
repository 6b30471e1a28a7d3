"""`ctrfast sweep`: many runs, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctrfast.console import console, print_aligned, print_sweep
from ctrfast.errors import DataError, TrainingError, unknown_name
from ctrfast.quiet_start import load_tensorflow
from ctrfast.store.outputs import local_path
from ctrfast.stored_folders import folder_of
from ctrfast.terminal import bar, stop_on_interrupt

if TYPE_CHECKING:
    from ctrfast.data.shards import Dataset

_COMPRESS = "compress"


def sweep(
    out: Annotated[str, typer.Option(help="Folder to write; one of a sweep on the same dataset: go on with it.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML with `base` (settings of all runs), `grid`, `search`, `prune` and `data`.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="compress: wide networks, pruned and packed, beside small ones trained longer.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "--dataset", help="Dataset folder (default `data` of the file), or s3://...")
    ] = None,
) -> None:
    """Train on a grid of settings, or search them; each point in a process of its own."""
    if preset is not None and preset != _COMPRESS:
        raise unknown_name("preset", preset, [_COMPRESS], path="preset")
    if preset is not None:
        _compress(config, data, out)
    elif config is not None:
        _sweep(config, data, out)
    else:
        raise typer.BadParameter(f"Give --config, or --preset {_COMPRESS}.")


def _sweep(config: Path, data: str | None, out: str) -> None:
    from ctrfast.sweep import run_sweep
    from ctrfast.sweep.grid import read_sweep

    target = local_path(out)
    settings, named = read_sweep(config)
    dataset = _dataset(data, named)
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


def _compress(config: Path | None, data: str | None, out: str) -> None:
    from ctrfast.compression.settings import read_compression

    target = local_path(out)
    settings, named = read_compression(config)
    dataset = _dataset(data, named)
    load_tensorflow()

    from ctrfast.compression.runner import compress

    with bar("runs") as show, stop_on_interrupt() as should_stop:
        result = compress(
            dataset,
            settings,
            target,
            on_progress=lambda progress: show(progress.done, progress.total, progress.what),
            should_stop=should_stop,
        )
    if result.rows:
        _print_front(target)
    console.print(f"sweep: {out}")
    if result.failed:
        raise TrainingError(f"{len(result.failed):,} points failed: see {out}/wide and {out}/small, points.jsonl.")


def _print_front(folder: Path) -> None:
    from ctrfast.lab.compressed_frame import compressed
    from ctrfast.lab.compression_page import HEAD, PICTURE, cells, notes, write_front

    forms = compressed(folder)
    print_aligned([HEAD, *cells(forms)])
    for note in notes(forms):
        console.print(note)
    page = write_front(folder)
    console.print(f"picture: {folder / PICTURE}, page: {page}")


def _dataset(data: str | None, named: Path | None) -> Dataset:
    """The dataset of the option, or of the file."""
    from ctrfast.data.shards import Dataset

    folder = folder_of(data, "data") if data is not None else named
    if folder is None:
        raise typer.BadParameter("Give --data, or `data` in the file.")
    return Dataset.open(folder)


def _picture(folder: Path) -> None:
    from ctrfast.lab.sweep_picture import picture_sweep  # matplotlib and pandas, which other commands do without

    try:
        console.print(f"picture: {picture_sweep(folder)}")
    except DataError as error:  # no run has ended well, or there are too many lines for one picture
        console.print(f"no picture: {error.message}")
