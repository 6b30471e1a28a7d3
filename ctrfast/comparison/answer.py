"""What a comparison tells: the same for the command line's `--json` and for REST."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

LEVEL = 0.05
Test = Literal["delong", "bootstrap", "welch"]

_FIRST, _SECOND = "018f2a7c00a1", "018f2a7c00b2"
_EXAMPLE: JsonDict = {
    "runs": [
        {
            "run": _FIRST,
            "settings": 0,
            "metrics": {"test_auc": 0.7488, "test_log_loss": 0.4731},
            "figures": {"auc": {"value": 0.7488, "low": 0.7451, "high": 0.7525}},
        },
        {
            "run": _SECOND,
            "settings": 1,
            "metrics": {"test_auc": 0.7519, "test_log_loss": 0.4702},
            "figures": {"auc": {"value": 0.7519, "low": 0.7482, "high": 0.7556}},
        },
    ],
    "settings": [{"name": "scaling.rule", "values": ["none", "cowclip"]}],
    "differences": [
        {
            "run": _SECOND,
            "baseline": _FIRST,
            "figure": "auc",
            "test": "delong",
            "paired": True,
            "samples": [120_000, 120_000],
            "difference": 0.0031,
            "low": 0.0022,
            "high": 0.0040,
            "p": 1.5e-11,
            "is_real": True,
        }
    ],
    "verdicts": [
        f"{_SECOND} ranks better than {_FIRST}: test AUC +0.00310 (95 % interval +0.00220 to +0.00400, p = 1.5e-11, "
        "DeLong's test on the same 120,000 rows)."
    ],
    "notes": ["These tests are of the rows' chance alone, not of the seeds'."],
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Interval(_Part):
    """A figure of the test rows with its 95 % interval."""

    value: float
    low: float
    high: float


class RunSide(_Part):
    """One run. settings: the number of its group, whose runs differ in their seed alone. metrics: of its receipt.

    figures: of the rows that are compared, by name.
    """

    run: str
    settings: int
    metrics: dict[str, float]
    figures: dict[str, Interval]


class SettingRow(_Part):
    """A setting in which runs differ: its value in each run, in their order. `plan.` marks what the rule made of it."""

    name: str
    values: list[Any]


class FigureDifference(_Part):
    """`run` less `baseline` in one figure; of welch, both name the settings in which the groups of runs differ.

    samples: rows, or seeds, of baseline and run. p: of a difference as large where there is none.
    is_real: p < 0.05 / the number of comparisons.
    """

    run: str
    baseline: str
    figure: str
    test: Test
    paired: bool
    samples: tuple[int, int]
    difference: float
    low: float
    high: float
    p: float
    is_real: bool


class Comparison(_Part):
    """Runs side by side. verdicts: a sentence on AUC and one on log loss for each run, or settings, but the first.

    notes: what to know of the tests, and what could not be compared.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    runs: list[RunSide]
    settings: list[SettingRow]
    differences: list[FigureDifference]
    verdicts: list[str]
    notes: list[str]
