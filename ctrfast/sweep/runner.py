"""The points of a sweep one after the other, each with all of the machine.

A point whose run is whole is not repeated, one that was broken off goes on from its last checkpoint. One that failed
because of its loss or weights would fail again, so it stays as it is; other failures are tried again by the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled, TrainingError
from ctrfast.optim.scaling import make_plan
from ctrfast.run import RECEIPT, Run
from ctrfast.storage import storing
from ctrfast.sweep.checks import check_points
from ctrfast.sweep.folder import Row, SweepFolder, opened
from ctrfast.sweep.grid import Point, SweepConfig, settings_text, sweep_points
from ctrfast.sweep.groups import Group, Outcome, best_outcome, group_over_seeds
from ctrfast.sweep.process import COMMAND, run_process


@dataclass(frozen=True)
class SweepProgress:
    """done: points that have ended, and the share of the one at work. point: its settings in a line."""

    done: float
    points: int
    point: str


@dataclass(frozen=True)
class SweepResult:
    """rows: as in `points.jsonl`. groups: over seeds, of the points that succeeded. best: by validation AUC."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    best: Outcome | None

    @property
    def failed(self) -> tuple[Row, ...]:
        """The points that failed."""
        return tuple(row for row in self.rows if row["state"] == "failed")


def run_sweep(
    dataset: Dataset,
    config: SweepConfig,
    out: Path,
    *,
    on_progress: Callable[[SweepProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    command: Sequence[str] = COMMAND,
) -> SweepResult:
    """Run all points, or those that are left, and write the tables of `ctrfast.sweep.folder`.

    Args:
        dataset: opened with its files compared; the points do not do so again.
        config: base settings and grid.
        out: the sweep's folder: new, empty, or of the same sweep.
        on_progress: called several times a second.
        should_stop: once true, the point at work saves a checkpoint, and `Cancelled` is raised.
        command: the program of a point.

    Raises:
        ConfigError: the dataset cannot serve a point, or `out` holds something else.
        StorageError: the disk takes no more.
        Cancelled: `should_stop` was true; what has ended is in the tables.
    """
    points = sweep_points(config)
    check_points(dataset, points)
    with storing(f"The sweep {out}"), opened(out, config, dataset.hash) as folder:
        session = _Session(dataset, points, folder, command)
        session.run(on_progress or (lambda _: None), should_stop or (lambda: False))
        return session.result()


class _Session:
    """One call of `run_sweep`: what is known of each point."""

    def __init__(self, dataset: Dataset, points: Sequence[Point], folder: SweepFolder, command: Sequence[str]) -> None:
        self.dataset, self.points, self.folder, self.command = dataset, points, folder, command
        known = folder.rows()
        self.rows = {point.name: self._row(point, known.get(point.name)) for point in points}

    def run(self, on_progress: Callable[[SweepProgress], None], should_stop: Callable[[], bool]) -> None:
        self._write()
        for done, point in enumerate(self.points):
            text = settings_text(point.settings)
            on_progress(SweepProgress(done, len(self.points), text))
            if self.rows[point.name]["state"] != "queued":
                continue

            def on_fraction(fraction: float, done: int = done, text: str = text) -> None:
                on_progress(SweepProgress(done + fraction, len(self.points), text))

            if should_stop():
                raise self._cancelled()
            self._run_point(point, on_fraction, should_stop)
        on_progress(SweepProgress(len(self.points), len(self.points), ""))

    def result(self) -> SweepResult:
        outcomes = list(self._outcomes())
        return SweepResult(tuple(self.rows.values()), group_over_seeds(outcomes), best_outcome(outcomes))

    def _run_point(self, point: Point, on_fraction: Callable[[float], None], should_stop: Callable[[], bool]) -> None:
        request = {
            "dataset": str(self.dataset.path.absolute()),
            "dataset_hash": self.dataset.hash,
            "run": str(self.folder.run(point).absolute()),
            "config": point.config.model_dump(mode="json"),
        }
        log = self.folder.log(point)
        ending = run_process(request, log, on_fraction, should_stop, keep_open=self.folder.lock, command=self.command)
        if ending.state == "stopped":
            raise self._cancelled()
        row = self._row(point)
        if row["state"] == "queued":
            failed = {"state": "failed", "reason": ending.reason, "message": ending.message}
            row |= (
                failed if ending.state == "failed" else {**failed, "reason": "internal", "message": "No run is left."}
            )
        self.rows[point.name] = row
        self._write()

    def _cancelled(self) -> Cancelled:
        ended = sum(row["state"] != "queued" for row in self.rows.values())
        return Cancelled(f"Stopped after {ended:,} of {len(self.points):,} points; the same command goes on.")

    def _row(self, point: Point, known: Row | None = None) -> Row:
        """A point as its run folder and the last table have it."""
        row: Row = {
            "name": point.name,
            "state": "queued",
            "reason": None,
            "message": None,
            "settings": dict(point.settings),
            "metrics": {},
            "seconds": None,
            "rows_per_s": None,
            "plan": _plan(point, self.dataset),
        }
        run = self.folder.run(point)
        if (run / RECEIPT).is_file():
            receipt = Run.open(run).receipt
            figures = {"metrics": receipt.metrics, "seconds": receipt.train_s, "rows_per_s": receipt.rows_per_s}
            return row | {"state": "succeeded", **figures}
        if known is not None and known["state"] == "failed" and known["reason"] == TrainingError.code:
            return row | {name: known[name] for name in ("state", "reason", "message")}
        return row

    def _outcomes(self) -> Iterator[Outcome]:
        for row in self.rows.values():
            if row["state"] == "succeeded":
                speed = {name: row[name] for name in ("seconds", "rows_per_s")}
                yield Outcome(row["name"], row["settings"], {**row["metrics"], **speed})

    def _write(self) -> None:
        result = self.result()
        self.folder.write(result.rows, result.groups, result.best)


def _plan(point: Point, dataset: Dataset) -> dict[str, Any]:
    """What the scaling rule makes of the point's settings."""
    return make_plan(point.config, dataset.fitted.schema_.name).model_dump(mode="json", exclude={"reasons"})
