"""May a trained model take the champion's place? The champion is the version behind `latest`.

    refused if   auc < champion's auc - max_auc_drop
                 normalised entropy > champion's + max_ne_rise
                 |calibration ratio - 1| > max_calibration_error, and the champion is nearer to 1

Both are measured as the bundles that are served, on the same rows: the candidate's test split, without one its
validation split. Where the dataset's ids are not the champion's, or its bundle is damaged, the figures that are stored
with it stand in, and the verdict says so: they come from other rows. A figure that one of them lacks is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

COMPARISON = "comparison"  # in what a train job's process hands over
FIGURES = ("auc", "normalised_entropy", "calibration_ratio")
SPLITS = ("test", "valid")

Tolerance = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None


class Gates(BaseModel):
    """How much worse than the champion a model may be; None: as much as it likes. force: publish it in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_auc_drop: Tolerance = 0.002
    max_ne_rise: Tolerance = 0.002
    max_calibration_error: Tolerance = 0.2
    force: bool = Field(default=False, strict=True)


class Comparison(BaseModel):
    """Figures of candidate and champion by name.

    version: the champion's; None where there was none. split: of the candidate's dataset. rows: `same` where both were
    measured on that, `others` where the champion's figures are its own dataset's; `note` says why.
    """

    model_config = ConfigDict(frozen=True)

    version: int | None = None
    split: Literal["test", "valid"] | None = None
    rows: Literal["same", "others"] | None = None
    candidate: dict[str, float] = {}
    champion: dict[str, float] = {}
    note: str | None = None


def judge(gates: Gates, comparison: Comparison) -> list[str]:
    """Why the candidate must not take the champion's place; empty where it may."""
    new, old = comparison.candidate, comparison.champion
    reasons: list[str] = []
    if gates.max_auc_drop is not None and _both("auc", new, old):
        drop = old["auc"] - new["auc"]
        if drop > gates.max_auc_drop:
            reasons.append(_reason("AUC", new["auc"], old["auc"], f"`max_auc_drop` is {gates.max_auc_drop:g}"))
    if gates.max_ne_rise is not None and _both("normalised_entropy", new, old):
        was, now = old["normalised_entropy"], new["normalised_entropy"]
        if now - was > gates.max_ne_rise:
            reasons.append(_reason("Normalised entropy", now, was, f"`max_ne_rise` is {gates.max_ne_rise:g}"))
    if gates.max_calibration_error is not None and _both("calibration_ratio", new, old):
        was, now = old["calibration_ratio"], new["calibration_ratio"]
        if abs(now - 1) > gates.max_calibration_error and abs(now - 1) > abs(was - 1):
            limit = f"`max_calibration_error` is {gates.max_calibration_error:g}"
            reasons.append(_reason("Calibration ratio", now, was, limit))
    return reasons


def verdict_of(gates: Gates, comparison: Comparison) -> dict[str, Any]:
    """What is stored with the version: the reasons, whether they were overruled, and what was compared."""
    reasons = judge(gates, comparison)
    return {
        "refused": [] if gates.force else reasons,
        "overruled": reasons if gates.force else [],
        "compared": comparison.model_dump(mode="json"),
    }


def figures_of(metrics: Mapping[str, Any], split: str) -> dict[str, float]:
    """The figures that gates look at, of a run's metrics (`test_auc` ...)."""
    found = {name: metrics.get(f"{split}_{name}") for name in FIGURES}
    return {name: float(value) for name, value in found.items() if value is not None}


def _both(name: str, new: Mapping[str, float], old: Mapping[str, float]) -> bool:
    return name in new and name in old


def _reason(what: str, new: float, old: float, limit: str) -> str:
    return f"{what} {new:.5f}, the champion's {old:.5f}; {limit}."
