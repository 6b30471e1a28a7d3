"""A sweep's folder.

sweep.json                      written first: the dataset's hash, and the settings of the sweep that was here last
runs/NAME/                      a run folder per point, as `ctrfast train` leaves it; also those of earlier sweeps
asked/DIGEST.jsonl              what Optuna was asked for, a line per point
logs/NAME.txt                   what the point's processes wrote
points.jsonl                    a line per point: settings, state, reason, metrics, plan, seconds, rows/s
results.parquet                 the same as a table, a column per setting and figure
summary.json                    counts by state, figures over seeds, the best point
auc_by_batch_size.png           by `ctrfast sweep` at its end (`ctrfast.lab.sweep_picture`)
lock                            held by the sweep at work, and by its point's process

The three tables are replaced as a whole after each point: a reader sees the old or the new ones. They are those of the
last sweep. Another one on the same dataset takes over the runs that it has in common with those before.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import new_file, refuse_existing, remove_partials, write_file
from ctrfast.sweep.grid import SweepConfig
from ctrfast.sweep.groups import Group, Outcome
from ctrfast.sweep.table import runs_table

POINTS, RESULTS, SUMMARY, SETTINGS = "points.jsonl", "results.parquet", "summary.json", "sweep.json"
LOCK = "lock"
_FORMAT = 2
_PATIENCE_S = 10.0  # a point's process ends a moment after its sweep was killed

Row = dict[str, Any]


class SweepFolder:
    """Where a sweep writes. Make it with `opened`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @property
    def runs(self) -> Path:
        """Where the run folders are."""
        return self.path / "runs"

    @property
    def asked(self) -> Path:
        """Where it is kept what Optuna was asked for."""
        return self.path / "asked"

    def log(self, name: str) -> Path:
        """A run's log."""
        return self.path / "logs" / f"{name}.txt"

    def rows(self) -> dict[str, Row]:
        """What is known of the points, by the key of their run; empty before the first one."""
        file = self.path / POINTS
        if not file.is_file():
            return {}
        try:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return {row["key"]: row for row in rows}
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"The file {file} cannot be read. Remove it; it is made again.") from error

    def write(self, rows: Sequence[Row], groups: Sequence[Group], best: Outcome | None) -> None:
        """Replace the three tables."""
        write_file(self.path / POINTS, "".join(json.dumps(row) + "\n" for row in rows))
        with new_file(self.path / RESULTS) as partial:
            pq.write_table(runs_table(rows), partial)
        states = [row["state"] for row in rows]
        summary = {
            "format": _FORMAT,
            "points": len(rows),
            "states": {state: states.count(state) for state in sorted(set(states))},
            "groups": [asdict(group) for group in groups],
            "best": best.name if best is not None else None,
        }
        write_file(self.path / SUMMARY, json.dumps(summary, indent=1))


@contextmanager
def opened(path: Path, config: SweepConfig, dataset_hash: str) -> Iterator[SweepFolder]:
    """The folder of a new sweep, or of one on the same dataset, held while the block lasts.

    Raises:
        ConfigError: it holds something else, a sweep on another dataset, or one that is at work.
    """
    if not (path / SETTINGS).is_file() and not (path / LOCK).is_file():
        refuse_existing(path)
    with held(path) as lock:
        folder = SweepFolder(path, lock)
        folder.runs.mkdir(exist_ok=True)
        for place in (path, folder.runs):
            remove_partials(place)
        if (path / SETTINGS).is_file():
            _refuse_another_dataset(path, dataset_hash)
        wanted = {"dataset": dataset_hash, **config.model_dump(mode="json")}
        write_file(path / SETTINGS, json.dumps({"kind": "sweep", "format": _FORMAT, **wanted}, indent=1))
        yield folder


@contextmanager
def held(path: Path) -> Iterator[int]:
    """A folder, made where it is not there, with its file `lock` locked; the lock's descriptor.

    Raises:
        ConfigError: another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK).open("w") as lock:
        _take(path, lock.fileno())
        yield lock.fileno()


def _take(path: Path, lock: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"Another sweep is at work in {path}. Wait for it, or choose another folder."
                ) from None
            time.sleep(0.1)


def _refuse_another_dataset(path: Path, dataset_hash: str) -> None:
    try:
        found = json.loads((path / SETTINGS).read_text(encoding="utf-8"))["dataset"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"The {SETTINGS} of {path} cannot be read. Choose another folder.") from error
    if found != dataset_hash:
        raise ConfigError(
            f"The sweep {path} was started on another dataset. Give that one, or choose another folder.", path="data"
        )
