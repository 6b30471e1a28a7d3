"""A sweep's folder.

sweep.json                      written first: the dataset's hash, `base` and `grid`
runs/NAME/                      a run folder per point, as `ctrfast train` leaves it
logs/NAME.txt                   what the point's processes wrote
points.jsonl                    a line per point: settings, state, reason, metrics, plan, seconds, rows/s
results.parquet                 the same as a table, a column per setting and figure
summary.json                    counts by state, figures over seeds, the best point
auc_by_batch_size.png           by `ctrfast sweep` at its end (`ctrfast.lab.sweep_picture`)
lock                            held by the sweep at work, and by its point's process

The three tables are replaced as a whole after each point: a reader sees the old or the new ones.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import new_file, refuse_existing, remove_partials, write_file
from ctrfast.sweep.grid import Point, SweepConfig, flat_settings
from ctrfast.sweep.groups import Group, Outcome

POINTS, RESULTS, SUMMARY, SETTINGS = "points.jsonl", "results.parquet", "summary.json", "sweep.json"
_FORMAT = 1
_PATIENCE_S = 10.0  # a point's process ends a moment after its sweep was killed

Row = dict[str, Any]


class SweepFolder:
    """Where a sweep writes. Make it with `opened`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    def run(self, point: Point) -> Path:
        """A point's run folder."""
        return self.path / "runs" / point.name

    def log(self, point: Point) -> Path:
        """A point's log."""
        return self.path / "logs" / f"{point.name}.txt"

    def rows(self) -> dict[str, Row]:
        """What is known of the points, by name; empty before the first one."""
        file = self.path / POINTS
        if not file.is_file():
            return {}
        try:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return {row["name"]: row for row in rows}
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"The file {file} cannot be read. Remove it; it is made again.") from error

    def write(self, rows: Sequence[Row], groups: Sequence[Group], best: Outcome | None) -> None:
        """Replace the three tables."""
        write_file(self.path / POINTS, "".join(json.dumps(row) + "\n" for row in rows))
        with new_file(self.path / RESULTS) as partial:
            pq.write_table(_table(rows), partial)
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
    """The folder of a new sweep, or of one with the same settings, held while the block lasts.

    Raises:
        ConfigError: it holds something else, another sweep, or a sweep that is at work.
    """
    if not (path / SETTINGS).is_file() and not (path / "lock").is_file():
        refuse_existing(path)
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        _take(path, lock.fileno())
        for folder in (path, path / "runs"):
            remove_partials(folder)
        wanted = {"dataset": dataset_hash, **config.model_dump(mode="json")}
        if (path / SETTINGS).is_file():
            _refuse_another(path, wanted)
        else:
            write_file(path / SETTINGS, json.dumps({"kind": "sweep", "format": _FORMAT, **wanted}, indent=1))
        yield SweepFolder(path, lock.fileno())


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


def _refuse_another(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        found = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
        was = flat_settings({name: found[name] for name in wanted})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"The {SETTINGS} of {path} cannot be read. Choose another folder.") from error
    now = flat_settings(wanted)
    differing = [name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)]
    if differing:
        told = ", ".join(f"{name}={was.get(name)} (now {now.get(name)})" for name in differing)
        raise ConfigError(
            f"The sweep {path} was started with other settings: {told}. Give the same ones, or choose another folder.",
            path=differing[0],
        )


def _table(rows: Sequence[Row]) -> pa.Table:
    """A column per member; nested ones have dotted names, and `settings` none of its own."""
    flat = [
        flat_settings({**row, "settings": None, **{f"setting.{k}": v for k, v in row["settings"].items()}})
        for row in rows
    ]
    names = [name for name in dict.fromkeys(name for row in flat for name in row) if name != "settings"]
    return pa.table({name: _column([row.get(name) for row in flat]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """Numbers or text as they are; anything mixed or nested as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        return pa.array([None if value is None else float(value) for value in values] if float in kinds else values)
    if kinds <= {str}:
        return pa.array(values, pa.string())
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
