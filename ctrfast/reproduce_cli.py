"""`ctrfast reproduce`: a run from its receipt, or the paper's table."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctrfast.console import console, print_aligned
from ctrfast.quiet_start import load_tensorflow
from ctrfast.terminal import bar, stop_on_interrupt

if TYPE_CHECKING:
    from ctrfast.paper import PaperPlan, PaperTable
    from ctrfast.reproduction import Reproduction

_PAPER = "cowclip"


def reproduce(
    target: Annotated[str, typer.Argument(metavar="RUN|cowclip", help="Run folder, or cowclip: the paper's table.")],
    data: Annotated[
        Path | None, typer.Option("--data", "--dataset", help="Dataset folder; of a run, the one it was trained on.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; one that was broken off goes on. Of a run, kept only if given."),
    ] = None,
    warm_start: Annotated[Path | None, typer.Option(help="The run that RUN began with, where it did.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest difference of RUN's figures that still agrees (default 0.001).")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Of cowclip: tiny (seconds, data of its own), sample (any data) or full.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Of cowclip: begin with the full table.")] = False,
) -> None:
    """Train a run again from its receipt and compare the figures; or run the table of the CowClip paper."""
    if target == _PAPER:
        if warm_start is not None or tolerance is not None:
            raise typer.BadParameter("--warm-start and --tolerance are for a run.")
        _reproduce_paper(data, out, scale, yes)
        return
    if scale is not None or yes:
        raise typer.BadParameter("--scale and --yes are for cowclip; a run folder of that name is ./cowclip.")
    if data is None:
        raise typer.BadParameter("Give --data, the dataset that the run was trained on.")
    _reproduce_run(Path(target), data, out, warm_start, tolerance)


def _reproduce_run(run: Path, data: Path, out: Path | None, warm_start: Path | None, tolerance: float | None) -> None:
    from ctrfast.run import Run

    opened = Run.open(run)
    load_tensorflow()

    from ctrfast.reproduction import TOLERANCE, changes_since, reproduce_run

    for name, (then, now) in changes_since(opened).items():
        console.print(f"{name} was {then}, is {now}")
    with _kept_or_not(out) as folder, bar("steps") as show, stop_on_interrupt() as should_stop:
        told = reproduce_run(
            run,
            data,
            folder,
            warm_start=warm_start,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            on_progress=lambda progress: show(progress.step, progress.total_steps, f"epoch {progress.epoch + 1}"),
            should_stop=should_stop,
        )
    _print_reproduction(told)
    if told.agreement == "no":
        raise typer.Exit(1)


@contextmanager
def _kept_or_not(out: Path | None) -> Iterator[Path]:
    """The folder to train in: one that goes afterwards, where none is named."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="ctrfast-reproduce-") as folder:
        yield Path(folder) / "run"


def _print_reproduction(told: Reproduction) -> None:
    rows = [
        (
            figure.name,
            f"{figure.recorded:.9g}",
            "-" if figure.found is None else f"{figure.found:.9g}",
            "same" if figure.found == figure.recorded else f"{figure.difference:+.3g}",
        )
        for figure in told.figures
    ]
    print_aligned([("figure", "recorded", "now", "difference"), *rows])
    if told.agreement == "bit for bit":
        scores = ", and so does the score of each test row" if told.same_scores else ""
        console.print(f"reproduced: all figures agree bit for bit{scores}")
    elif told.agreement == "within tolerance":
        console.print(f"reproduced: all figures agree within {told.tolerance:g}, not bit for bit")
    else:
        console.print(f"not reproduced: figures differ by more than {told.tolerance:g}")


def _reproduce_paper(data: Path | None, out: Path | None, scale: str | None, yes: bool) -> None:
    from ctrfast.paper import SCALES, paper_dataset, plan_table, write_report
    from ctrfast.paper.run import run_table

    if scale is None:
        raise typer.BadParameter(f"Give --scale: {', '.join(SCALES)}.")
    folder = out or Path(f"{_PAPER}-{scale}")
    dataset = paper_dataset(data, scale, folder)
    plan = plan_table(dataset, scale)
    _print_plan(plan)
    if scale == "full" and not yes:
        console.print("That is the plan. Give --yes to begin; it can be stopped, and the same command goes on.")
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it takes a graph for each of several runs for a mistake
    with bar("runs") as show, stop_on_interrupt() as should_stop:
        table = run_table(
            dataset,
            plan,
            folder,
            on_progress=lambda progress: show(progress.done, progress.points, progress.point),
            should_stop=should_stop,
            load=load_tensorflow,
        )
    _print_table(table)
    console.print(f"report: {write_report(table, folder)}")
    if table.failed:
        raise typer.Exit(1)


def _print_plan(plan: PaperPlan) -> None:
    for line in plan.lines():
        console.print(line)


def _print_table(table: PaperTable) -> None:
    print_aligned([table.HEAD, *table.cells()])
    for note in table.notes:
        console.print(note)
