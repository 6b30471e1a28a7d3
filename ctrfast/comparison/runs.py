"""A run to compare: its settings, its figures, and the scores of its test rows where they are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ctrfast.comparison.answer import SettingRow
from ctrfast.dotted import flat_settings
from ctrfast.kept_scores import KeptScores, load_scores
from ctrfast.run import Run

SEED = "seed"
PLAN = "plan."
_SECTIONS = ("", "optimizer.", "scaling.")  # where a setting of the plan may stand among the settings
_DATASET_DIGITS = 12


@dataclass(frozen=True)
class ComparedRun:
    """A run to compare.

    settings: by dotted name; `dataset` is its hash, `plan.` what the scaling rule made of them. rows: hash of the
    dataset whose test rows `scores` are of; scores: None where the run keeps none.
    """

    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    rows: str
    scores: KeptScores | None

    @classmethod
    def of(cls, run: Run, name: str, scored: tuple[str, KeptScores] | None = None) -> Self:
        """A finished run.

        Args:
            run: opened.
            name: as it is shown.
            scored: hash of a dataset whose test rows it was scored on just now, and the scores; else the kept ones.

        Raises:
            ArtifactError: its kept scores are missing or were changed.
        """
        plan = {f"{PLAN}{key}": value for key, value in run.plan.model_dump(exclude={"reasons"}).items()}
        settings = {**flat_settings(run.config.model_dump(mode="json")), "dataset": run.receipt.dataset_hash, **plan}
        rows, scores = run.receipt.dataset_hash, None
        if scored is not None:
            rows, scores = scored
        elif run.receipt.test_scores is not None:
            scores = load_scores(run.path, run.receipt.test_scores)
        return cls(name, settings, run.metrics, rows, scores)

    @property
    def group(self) -> str:
        """All settings but the seed, as a text that tells groups apart."""
        return repr(sorted((name, repr(value)) for name, value in self.settings.items() if name != SEED))


def differing_settings(runs: Sequence[ComparedRun]) -> list[SettingRow]:
    """Settings that are not the same in all runs. What the plan merely repeats is left out."""
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run.settings):
        values = _values(runs, name)
        bare = name.removeprefix(PLAN)
        repeats = name != bare and any(_values(runs, f"{section}{bare}") == values for section in _SECTIONS)
        if not repeats and any(value != values[0] for value in values):
            rows.append(SettingRow(name=name, values=[_shown(name, value) for value in values]))
    return rows


def _values(runs: Sequence[ComparedRun], name: str) -> list[Any]:
    return [run.settings.get(name) for run in runs]


def group_name(run: ComparedRun, runs: Sequence[ComparedRun]) -> str:
    """The settings that tell a run's group from the others: `scaling.rule=cowclip, batch_size=8192`."""
    names = [row.name for row in differing_settings(runs) if not row.name.startswith((PLAN, SEED))]
    return ", ".join(f"{name}={_shown(name, run.settings.get(name))}" for name in names)


def _shown(name: str, value: Any) -> Any:
    return value[:_DATASET_DIGITS] if name == "dataset" and isinstance(value, str) else value
