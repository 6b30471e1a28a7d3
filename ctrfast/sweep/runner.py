"""The points of a sweep one after the other, each with all of the machine.

A point whose run is whole is not repeated, also where an earlier sweep in the same folder made it; one that was broken
off goes on from its last checkpoint. One that failed because of its loss or weights would fail again, so it stays as it
is, and so does one that was pruned while the sweep prunes; other failures are tried again by the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrfast.config import TrainConfig
from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled, TrainingError
from ctrfast.optim.scaling import make_plan
from ctrfast.preflight import examine_files, refuse
from ctrfast.run import RECEIPT, Run
from ctrfast.storage import storing
from ctrfast.sweep.checks import check_points
from ctrfast.sweep.folder import Row, SweepFolder, opened
from ctrfast.sweep.grid import Point, SweepConfig, points_to_check, settings_text
from ctrfast.sweep.groups import Group, Outcome, best_outcome, group_over_seeds
from ctrfast.sweep.places import Places, run_key
from ctrfast.sweep.process import COMMAND, run_process
from ctrfast.sweep.pruning import MEDIAN, epoch_aucs, medians
from ctrfast.sweep.rounds import count_points, point_rounds


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

    @property
    def pruned(self) -> tuple[Row, ...]:
        """The points that were ended early as hopeless."""
        return tuple(row for row in self.rows if row["state"] == "pruned")


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
        config: base settings, grid, search.
        out: the sweep's folder: new, empty, or of sweeps on the same dataset.
        on_progress: called several times a second.
        should_stop: once true, the point at work saves a checkpoint, and `Cancelled` is raised.
        command: the program of a point.

    Raises:
        ConfigError: the dataset cannot serve a point, or `out` holds something else.
        DependencyError: the search needs a package that is not installed.
        StorageError: the disk takes no more.
        Cancelled: `should_stop` was true; what has ended is in the tables.
    """
    to_check = points_to_check(config)
    refuse(examine_files(dataset, to_check[0].config))
    check_points(dataset, to_check)
    with storing(f"The sweep {out}"), opened(out, config, dataset.hash) as folder:
        session = _Session(dataset, config, folder, command)
        session.run(on_progress or (lambda _: None), should_stop or (lambda: False))
        return session.result()


class _Session:
    """One call of `run_sweep`: what is known of each point, by the key of its run."""

    def __init__(self, dataset: Dataset, config: SweepConfig, folder: SweepFolder, command: Sequence[str]) -> None:
        self.dataset, self.config, self.folder, self.command = dataset, config, folder, command
        self.total = count_points(config)
        self.places = Places(folder.runs)
        self.known = folder.rows()
        self.rows: dict[str, Row] = {}

    def run(self, on_progress: Callable[[SweepProgress], None], should_stop: Callable[[], bool]) -> None:
        done = 0
        for points in point_rounds(self.config, self.folder.asked, lambda point: self.rows[self._key(point)]):
            for point in points:
                key = self._key(point)
                if key not in self.rows:  # a search may ask for a point again
                    self.rows[key] = self._row(point, self.known.get(key))
            self._write()
            for point in points:
                text = settings_text(point.settings)
                on_progress(SweepProgress(done, self.total, text))

                def on_fraction(fraction: float, done: int = done, text: str = text) -> None:
                    on_progress(SweepProgress(done + fraction, self.total, text))

                if self.rows[self._key(point)]["state"] == "queued":
                    if should_stop():
                        raise self._cancelled()
                    self._run_point(point, on_fraction, should_stop)
                done += 1
        on_progress(SweepProgress(self.total, self.total, ""))

    def result(self) -> SweepResult:
        outcomes = list(self._outcomes())
        return SweepResult(tuple(self.rows.values()), group_over_seeds(outcomes), best_outcome(outcomes))

    def _run_point(self, point: Point, on_fraction: Callable[[float], None], should_stop: Callable[[], bool]) -> None:
        row = self.rows[self._key(point)]
        request = {
            "dataset": str(self.dataset.path.absolute()),
            "dataset_hash": self.dataset.hash,
            "run": str((self.folder.runs / row["name"]).absolute()),
            "config": point.config.model_dump(mode="json"),
            "bars": self._bars(),
        }
        log = self.folder.log(row["name"])
        ending = run_process(request, log, on_fraction, should_stop, keep_open=self.folder.lock, command=self.command)
        if ending.state == "stopped":
            raise self._cancelled()
        row = self._row(point)
        if ending.state == "pruned":
            row |= {"state": "pruned", "reason": MEDIAN, "message": ending.message, "metrics": ending.metrics}
        elif row["state"] == "queued":
            failed = {"state": "failed", "reason": ending.reason, "message": ending.message}
            row |= (
                failed if ending.state == "failed" else {**failed, "reason": "internal", "message": "No run is left."}
            )
        self.rows[row["key"]] = row
        self._write()

    def _bars(self) -> dict[int, float]:
        """The validation AUC that the next run must have, by epoch; empty where nothing is pruned."""
        if self.config.prune is None:
            return {}
        done = (self.folder.runs / row["name"] for row in self.rows.values() if row["state"] == "succeeded")
        return medians([epoch_aucs(run, self._steps_per_epoch(Run.open(run).config)) for run in done])

    def _steps_per_epoch(self, config: TrainConfig) -> int:
        return self.dataset.rows("train") // config.batch_size

    def _key(self, point: Point) -> str:
        return run_key(point.config, self.dataset.hash)

    def _cancelled(self) -> Cancelled:
        ended = sum(row["state"] != "queued" for row in self.rows.values())
        return Cancelled(f"Stopped after {ended:,} of {self.total:,} points; the same command goes on.")

    def _row(self, point: Point, known: Row | None = None) -> Row:
        """A point as its run folder and the last table have it."""
        key = self._key(point)
        row: Row = {
            "name": self.places.name(point.name, key),
            "key": key,
            "state": "queued",
            "reason": None,
            "message": None,
            "settings": dict(point.settings),
            "metrics": {},
            "seconds": None,
            "rows_per_s": None,
            "plan": _plan(point, self.dataset),
        }
        run = self.folder.runs / row["name"]
        if (run / RECEIPT).is_file():
            receipt = Run.open(run).receipt
            figures = {"metrics": receipt.metrics, "seconds": receipt.train_s, "rows_per_s": receipt.rows_per_s}
            return row | {"state": "succeeded", **figures}
        if known is not None and self._stays(known):
            return row | {name: known[name] for name in ("state", "reason", "message", "metrics")}
        return row

    def _stays(self, known: Row) -> bool:
        """Whether a point that has not succeeded would end the same way again."""
        if known["state"] == "pruned":
            return self.config.prune is not None
        return bool(known["state"] == "failed" and known["reason"] == TrainingError.code)

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
