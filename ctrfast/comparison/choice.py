"""Which test is made between runs, by what there is of them (`ctrfast.comparison`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ctrfast.comparison.answer import LEVEL, Comparison, FigureDifference, Interval, RunSide, Test
from ctrfast.comparison.runs import SEED, ComparedRun, differing_settings, group_name
from ctrfast.comparison.verdicts import JUDGED, notes_on, verdict
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.kept_scores import KeptScores
from ctrfast.significance import bootstrap as of_rows
from ctrfast.significance import delong
from ctrfast.significance.bootstrap import Bootstrap, bootstrap
from ctrfast.significance.delong import Placements, placements_of
from ctrfast.significance.estimate import Difference, Estimate
from ctrfast.significance.welch import welch_difference

AUC = "auc"
FIGURES = (AUC, *of_rows.FIGURES)
MOST_RUNS = 50
_FEWEST_SEEDS = 2


def compare_runs(runs: Sequence[ComparedRun]) -> Comparison:
    """Compare runs with the first of them.

    Raises:
        ConfigError: there are fewer than two, more than `MOST_RUNS`, or one of them twice.
        ArtifactError: runs of one dataset have kept different labels.
    """
    check_names([run.name for run in runs])
    sides = [_Side(run, seed) for seed, run in enumerate(runs, start=1)]
    groups: dict[str, dict[Any, _Side]] = {}
    for side in sides:  # of runs with one seed, the first: a copy is no observation of its own
        groups.setdefault(side.run.group, {}).setdefault(side.run.settings[SEED], side)
    numbers = {group: number for number, group in enumerate(groups)}
    over_seeds = len(groups) > 1 and min(map(len, groups.values())) >= _FEWEST_SEEDS
    if over_seeds:
        seeds = [list(group.values()) for group in groups.values()]
        comparisons, differences = len(groups) - 1, list(_over_seeds(seeds, runs, len(groups) - 1))
    else:
        comparisons, differences = len(runs) - 1, list(_over_rows(sides, len(runs) - 1))
    return Comparison(
        runs=[side.told(numbers[side.run.group]) for side in sides],
        settings=differing_settings(runs),
        differences=differences,
        verdicts=[verdict(of, comparisons) for of in differences if of.figure in JUDGED],
        notes=notes_on(runs, over_seeds),
    )


def check_names(names: Sequence[str]) -> None:
    """Raise ConfigError where runs of these names cannot be compared."""
    if not 2 <= len(names) <= MOST_RUNS:
        raise ConfigError(f"`runs` must name 2 to {MOST_RUNS} runs. Got {len(names)}.", path="runs")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"`runs` must name each run once. Got {twice} more than once.", path="runs")


class _Side:
    """A run with what its tests need. seed: of its own bootstrap. What is as long as its rows is not kept."""

    def __init__(self, run: ComparedRun, seed: int) -> None:
        self.run, self._seed = run, seed

    @property
    def scores(self) -> KeptScores | None:
        return self.run.scores if self.run.scores is not None and len(self.run.scores.labels) else None

    def placements(self) -> Placements | None:
        return None if self.scores is None else placements_of(self.scores.labels, self.scores.logits)

    @cached_property
    def boot(self) -> Bootstrap | None:
        return None if self.scores is None else bootstrap(self.scores.labels, [self.scores.logits], self._seed)

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Figures that the labels define."""
        placements = self.placements()
        found = {AUC: None if placements is None else placements.estimate()}
        if self.boot is not None:
            found |= {name: self.boot.estimate(0, name) for name in of_rows.FIGURES}
        return {name: estimate for name, estimate in found.items() if estimate is not None}

    def value(self, figure: str) -> float | None:
        """A figure of the rows that are compared; of a run without scores, as its receipt has it."""
        if self.scores is None:
            return self.run.metrics.get(f"test_{figure}")
        return self.estimates[figure].value if figure in self.estimates else None

    def told(self, group: int) -> RunSide:
        figures = {name: Interval(value=of.value, low=of.low, high=of.high) for name, of in self.estimates.items()}
        return RunSide(run=self.run.name, settings=group, metrics=dict(self.run.metrics), figures=figures)


def _over_seeds(
    groups: Sequence[Sequence[_Side]], runs: Sequence[ComparedRun], comparisons: int
) -> Iterator[FigureDifference]:
    baseline = groups[0]
    for group in groups[1:]:
        names = group_name(baseline[0].run, runs), group_name(group[0].run, runs)
        for figure in FIGURES:
            earlier, later = (
                [value for side in of if (value := side.value(figure)) is not None] for of in (baseline, group)
            )
            if min(len(earlier), len(later)) >= _FEWEST_SEEDS:
                found = welch_difference(earlier, later)
                yield _told(names, figure, "welch", False, (len(earlier), len(later)), found, comparisons)


def _over_rows(sides: Sequence[_Side], comparisons: int) -> Iterator[FigureDifference]:
    first = sides[0]
    baseline = first.placements()
    for side in sides[1:]:
        if first.scores is None or side.scores is None:
            continue
        names = first.run.name, side.run.name
        rows = len(first.scores.labels), len(side.scores.labels)
        paired = first.run.rows == side.run.rows
        if paired and not np.array_equal(first.scores.labels, side.scores.labels):
            raise ArtifactError(
                f"The runs {first.run.name} and {side.run.name} name one dataset and have other test labels. "
                "Train one of them again."
            )
        found: list[tuple[str, Test, Difference | None]] = []
        placements = side.placements()
        if baseline is not None and placements is not None:
            of_auc = delong.paired_difference if paired else delong.unpaired_difference
            found.append((AUC, "delong", of_auc(baseline, placements)))
        if paired:
            together = bootstrap(first.scores.labels, [first.scores.logits, side.scores.logits])
            found += [(name, "bootstrap", together.difference(0, 1, name)) for name in of_rows.FIGURES]
        elif first.boot is not None and side.boot is not None:
            apart = first.boot, side.boot
            found += [(name, "bootstrap", of_rows.unpaired_difference(*apart, name)) for name in of_rows.FIGURES]
        for figure, test, difference in found:
            if difference is not None:
                yield _told(names, figure, test, paired, rows, difference, comparisons)


def _told(
    names: tuple[str, str],
    figure: str,
    test: Test,
    paired: bool,
    samples: tuple[int, int],
    found: Difference,
    comparisons: int,
) -> FigureDifference:
    return FigureDifference(
        run=names[1],
        baseline=names[0],
        figure=figure,
        test=test,
        paired=paired,
        samples=samples,
        difference=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        is_real=found.p < LEVEL / comparisons,
    )
