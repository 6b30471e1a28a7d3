"""Train a run again from its receipt, and say whether its figures come out again.

    told = reproduce_run(Path("runs/first"), Path("data/criteo"), Path("runs/again"))
    told.agreement                  # "bit for bit", "within tolerance" or "no"
    told.figures[0]                 # Figure(name='test_auc', recorded=0.7512, found=0.7512)

The same settings, seed, dataset, packages and kind of processor give the same bits. Elsewhere sums are rounded in
another order, and figures move in a late digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.loop.progress import Progress
from ctrfast.run import RECEIPT, Receipt, Run, machine_now, origin_of, run_seal, versions_now
from ctrfast.train import train

TOLERANCE = 0.001
_COMPARED = ("test_", "valid_", "loss")
Agreement = Literal["bit for bit", "within tolerance", "no"]


@dataclass(frozen=True)
class Figure:
    """A figure of the run's receipt, and of the run that was made again; None where it has no such figure."""

    name: str
    recorded: float
    found: float | None

    @property
    def difference(self) -> float:
        """Found less recorded; infinite where nothing was found."""
        return math.inf if self.found is None else self.found - self.recorded


@dataclass(frozen=True)
class Reproduction:
    """figures: of validation and test split, and the training loss. same_scores: of all test rows, if kept."""

    figures: tuple[Figure, ...]
    same_scores: bool | None
    tolerance: float

    @property
    def agreement(self) -> Agreement:
        """Whether the figures agree."""
        if self.same_scores is not False and all(figure.found == figure.recorded for figure in self.figures):
            return "bit for bit"
        farthest = max((abs(figure.difference) for figure in self.figures), default=0.0)
        return "within tolerance" if farthest <= self.tolerance else "no"


def changes_since(run: Run) -> dict[str, tuple[str, str]]:
    """Versions and facts of the machine that are not those of the run: name -> (then, now)."""
    then, now = (
        {**versions, **machine}
        for versions, machine in ((run.receipt.versions, run.receipt.machine), (versions_now(), machine_now()))
    )
    return {
        name: (then.get(name, "-"), now.get(name, "-")) for name in {**then, **now} if then.get(name) != now.get(name)
    }


def reproduce_run(
    path: Path,
    data: Path,
    out: Path,
    *,
    warm_start: Path | None = None,
    tolerance: float = TOLERANCE,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Reproduction:
    """Train again.

    Args:
        path: a finished run.
        data: the dataset that it was trained on.
        out: the new run's folder; one that was broken off goes on.
        warm_start: the run that it began with, where it did.
        tolerance: largest difference of a figure that still counts as agreement.
        on_progress: called about twice a second.
        should_stop: asked at each step; once true, a checkpoint is saved and `Cancelled` is raised.

    Raises:
        ConfigError: the run was ended by a Keras callback, which no receipt holds; or it began with another run.
        ArtifactError: the dataset is not the run's.
        CtrFastError: as `train`.
    """
    run = Run.open(path)
    if run.receipt.ended_by == "callback":
        raise ConfigError(
            f"The run {path} was ended by a Keras callback, which its receipt cannot repeat. "
            "Train it again by the program that it came from."
        )
    _check_warm_start(path, warm_start)
    dataset = Dataset.open(data)
    if dataset.hash != run.receipt.dataset_hash:
        raise ArtifactError(
            f"The dataset {data} is not the one that {path} was trained on. Give that one.", path="data"
        )
    if not _is_done(out, run):
        train(
            dataset,
            run.config,
            out,
            resume=True,
            on_progress=on_progress,
            should_stop=should_stop,
            warm_start=warm_start,
        )
    return compare_receipts(run.receipt, Run.open(out).receipt, tolerance)


def compare_receipts(recorded: Receipt, found: Receipt, tolerance: float) -> Reproduction:
    """What two trainings of the same settings came to."""
    names = [name for name in recorded.metrics if name.startswith(_COMPARED)]
    figures = tuple(Figure(name, recorded.metrics[name], found.metrics.get(name)) for name in names)
    same = None if recorded.test_scores is None else recorded.test_scores == found.test_scores
    return Reproduction(figures, same, tolerance)


def _check_warm_start(path: Path, warm_start: Path | None) -> None:
    origin = origin_of(path)
    if "soft_labels" in origin:
        problem = f"The run {path} learned from another run's probabilities, which its receipt cannot repeat."
        raise ConfigError(f"{problem} Distil it again.")
    seal = origin.get("warm_start")
    if seal is not None and warm_start is None:
        raise ConfigError(f"The run {path} began with another run. Give it as `warm_start`.", path="warm_start")
    given = None if warm_start is None else run_seal(warm_start)
    if given != seal:
        raise ConfigError(
            f"The run {path} did not begin with {warm_start}. Give the one that it did.", path="warm_start"
        )


def _is_done(out: Path, run: Run) -> bool:
    """Whether `out` is the run made again, whole: then it need not be trained once more."""
    if not (out / RECEIPT).is_file() or out.resolve() == run.path.resolve():
        return False
    return _identity(Run.open(out)) == _identity(run)


def _identity(run: Run) -> tuple[object, ...]:
    return run.config, run.receipt.dataset_hash, origin_of(run.path)
