"""Run the plan's sweep. Needs TensorFlow for `tiny`, whose runs are too short for a process each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ctrfast.data.shards import Dataset
from ctrfast.errors import TrainingError
from ctrfast.paper.plan import PaperPlan
from ctrfast.paper.table import PaperTable
from ctrfast.run import RECEIPT
from ctrfast.sweep import SweepProgress, run_sweep, sweep_points
from ctrfast.sweep.folder import opened
from ctrfast.sweep.process import COMMAND


def run_table(
    dataset: Dataset,
    plan: PaperPlan,
    out: Path,
    *,
    on_progress: Callable[[SweepProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    load: Callable[[], None] = lambda: None,
    command: Sequence[str] = COMMAND,
) -> PaperTable:
    """Train what is missing; a folder that was broken off goes on.

    Args:
        dataset: what to train on.
        plan: made for it.
        out: the sweep's folder.
        on_progress: called several times a second.
        should_stop: once true, the run at work saves a checkpoint, and `Cancelled` is raised.
        load: called before TensorFlow is needed in this process.
        command: the program of a run.

    Raises:
        CtrFastError: as `run_sweep`.
    """
    if plan.scale == "tiny":
        load()
        _train_here(dataset, plan, out, on_progress or (lambda _: None), should_stop)
    result = run_sweep(dataset, plan.config, out, on_progress=on_progress, should_stop=should_stop, command=command)
    return PaperTable.of(result.rows, dataset, plan)


def _train_here(
    dataset: Dataset,
    plan: PaperPlan,
    out: Path,
    on_progress: Callable[[SweepProgress], None],
    should_stop: Callable[[], bool] | None,
) -> None:
    """Train all points in this process; the sweep then finds them done."""
    from ctrfast.train import train

    points = sweep_points(plan.config)
    with opened(out, plan.config, dataset.hash) as folder:
        for done, point in enumerate(points):
            on_progress(SweepProgress(done, len(points), point.name))
            run = folder.runs / point.name
            if not (run / RECEIPT).is_file():
                with suppress(TrainingError):  # it diverges: the sweep finds so too, and records it with the reason
                    train(dataset, point.config, run, resume=True, should_stop=should_stop)
