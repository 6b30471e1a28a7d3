"""`ctrfast compare`: runs side by side, and whether their differences are real."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctrfast.console import console, print_aligned
from ctrfast.quiet_start import load_tensorflow
from ctrfast.terminal import bar

if TYPE_CHECKING:  # numpy and arrow are loaded by the commands that need them
    from ctrfast.comparison import ComparedRun, Comparison
    from ctrfast.run import Run


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; all are compared with the first.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset whose test rows to compare on; else those that each run has kept scores of."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all figures.")] = False,
) -> None:
    """Show what runs differ in, their test figures with intervals, and whether the differences are real."""
    from ctrfast.comparison import ComparedRun, check_names, compare_runs
    from ctrfast.run import Run

    names = [str(path) for path in runs]
    check_names(names)
    opened = [Run.open(path) for path in runs]
    if data is None:
        told = compare_runs([ComparedRun.of(run, name) for run, name in zip(opened, names, strict=True)])
    else:
        told = compare_runs(_on_dataset(opened, names, data))
    if as_json:
        console.print_json(told.model_dump_json())
    else:
        _print(told)


def _on_dataset(runs: list[Run], names: list[str], data: Path) -> list[ComparedRun]:
    """The runs with scores of a dataset's test rows: those kept, where they are of it, else those of the weights."""
    from ctrfast.comparison import ComparedRun
    from ctrfast.data.shards import Dataset

    dataset_hash = Dataset.open(data, verify=False).hash
    compared = []
    for run, name in zip(runs, names, strict=True):
        if run.receipt.test_scores is not None and run.receipt.dataset_hash == dataset_hash:
            compared.append(ComparedRun.of(run, name))
            continue
        load_tensorflow()

        from ctrfast.evaluate import score_split
        from ctrfast.kept_scores import scores_from

        with bar("rows") as show:
            scored = score_split(run, data, "test", partial(show, note=f"scoring {name}"))
        compared.append(ComparedRun.of(run, name, (dataset_hash, scores_from(scored))))
    return compared


def _print(told: Comparison) -> None:
    columns = [f"[{number}]" for number in range(1, len(told.runs) + 1)]
    for column, run in zip(columns, told.runs, strict=True):
        console.print(f"{column} {run.run}")
    console.print()
    print_aligned([("setting", *columns), *((row.name, *map(_text, row.values)) for row in told.settings)])
    console.print()
    print_aligned([("test figure", *columns), *_figure_rows(told)])
    for lines in (told.verdicts, told.notes):
        if lines:
            console.print()
        for line in lines:
            console.print(line)


def _figure_rows(told: Comparison) -> Iterator[tuple[str, ...]]:
    """With intervals where the rows are at hand, else as the receipts have them."""
    prefix = "test_"
    names = [name for run in told.runs for name in (*run.figures, *(n for n in run.metrics if n.startswith(prefix)))]
    for name in dict.fromkeys(name.removeprefix(prefix) for name in names):
        cells = []
        for run in told.runs:
            figure = run.figures.get(name)
            value = run.metrics.get(f"{prefix}{name}")
            if figure is not None:
                cells.append(f"{figure.value:.5f} ({figure.low:.5f} to {figure.high:.5f})")
            else:
                cells.append("-" if value is None else f"{value:,.0f}" if name == "rows" else f"{value:.5f}")
        yield name, *cells


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
