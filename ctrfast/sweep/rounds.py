"""The points of a sweep in rounds: all at once, or those that Optuna is asked for, each round after the one before.

What was asked is written down before it runs, so a sweep that was killed goes on with it. A search for more points than
before goes on where it ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ctrfast.errors import ArtifactError
from ctrfast.folders import write_file
from ctrfast.sweep.grid import Point, SweepConfig, make_point, ordered_names, seeded_settings, sweep_points
from ctrfast.sweep.optuna_search import Trial, ask
from ctrfast.sweep.space import SEED, seeds_of

Row = Mapping[str, Any]


def count_points(config: SweepConfig) -> int:
    """Points of all rounds."""
    if config.search is None or config.search.name != "optuna":
        return len(sweep_points(config))
    return config.search.points * len(seeds_of(config.grid) or [None])


def point_rounds(config: SweepConfig, folder: Path, row_of: Callable[[Point], Row]) -> Iterator[Sequence[Point]]:
    """Rounds of points to run.

    Args:
        config: of the sweep.
        folder: where what was asked is kept.
        row_of: what a point of an earlier round came to: its `state`, and the validation AUC among its `metrics`.
    """
    search = config.search
    if search is None or search.name != "optuna":
        yield sweep_points(config)
        return
    grid = {name: config.grid[name] for name in ordered_names(config.grid) if name != SEED}
    file = folder / f"{_digest(config)}.jsonl"
    asked, trials = _read(file), list[Trial]()
    for number in range(search.points):
        if number == len(asked):
            asked.append(ask(search, grid, trials))
            write_file(file, "".join(json.dumps(settings) + "\n" for settings in asked))
        points = [make_point(config, settings) for settings in seeded_settings(config, asked[number])]
        yield points
        trials.append(_trial(asked[number], [row_of(point) for point in points]))


def _digest(config: SweepConfig) -> str:
    values = config.model_dump(mode="json", exclude={"prune": True, "search": {"points"}})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    try:
        return [dict(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"The file {file} cannot be read. Remove it; the search then begins anew.") from error


def _trial(settings: Mapping[str, Any], rows: Sequence[Row]) -> Trial:
    """A round's outcome, a mean over the seeds that ended in the best state of them."""
    for state in ("succeeded", "pruned"):
        aucs = [row["metrics"].get("valid_auc") for row in rows if row["state"] == state]
        known = [auc for auc in aucs if auc is not None]
        if known:
            return Trial(settings, state, fmean(known))
    return Trial(settings, "failed")
