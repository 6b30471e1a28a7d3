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


def is_asked(config: SweepConfig) -> bool:
    """Whether points become known only as the sweep goes on."""
    return config.search is not None and config.search.name == "optuna"


def count_points(config: SweepConfig) -> int:
    """Points of all rounds."""
    if config.search is None or not is_asked(config):
        return len(sweep_points(config))
    return config.search.points * points_per_round(config)


def points_per_round(config: SweepConfig) -> int:
    """Of a sweep that is asked: one for each seed of its grid."""
    return len(seeds_of(config.grid) or [None])


def ask_round(config: SweepConfig, trials: Sequence[Trial]) -> dict[str, Any]:
    """The settings of the next round of a sweep that is asked, without seeds. trials: what the rounds so far came to.

    Raises:
        DependencyError: Optuna is not installed.
    """
    if config.search is None:
        raise ValueError("the sweep has no search")
    grid = {name: config.grid[name] for name in ordered_names(config.grid) if name != SEED}
    return ask(config.search, grid, trials)


def round_points(config: SweepConfig, asked: Mapping[str, Any]) -> list[Point]:
    """The points of a round: the settings that were asked, with each seed."""
    return [make_point(config, settings) for settings in seeded_settings(config, asked)]


def point_rounds(config: SweepConfig, folder: Path, row_of: Callable[[Point], Row]) -> Iterator[Sequence[Point]]:
    """Rounds of points to run.

    Args:
        config: of the sweep.
        folder: where what was asked is kept.
        row_of: what a point of an earlier round came to: its `state`, and the validation AUC among its `metrics`.
    """
    if config.search is None or not is_asked(config):
        yield sweep_points(config)
        return
    file = folder / f"{_digest(config)}.jsonl"
    asked, trials = _read(file), list[Trial]()
    for number in range(config.search.points):
        if number == len(asked):
            asked.append(ask_round(config, trials))
            write_file(file, "".join(json.dumps(settings) + "\n" for settings in asked))
        points = round_points(config, asked[number])
        yield points
        trials.append(trial_of(asked[number], [row_of(point) for point in points]))


def trial_of(asked: Mapping[str, Any], rows: Sequence[Row]) -> Trial:
    """What a round came to: a mean over the seeds that ended in the best state of them."""
    for state in ("succeeded", "pruned"):
        aucs = [row["metrics"].get("valid_auc") for row in rows if row["state"] == state]
        known = [auc for auc in aucs if auc is not None]
        if known:
            return Trial(asked, state, fmean(known))
    return Trial(asked, "failed")


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
