"""Calibration: from a network's click probability p to one that agrees with the click rates seen.

identity      q = p
temperature   logit q = a logit p
platt         logit q = a logit p + b
isotonic      q linear between knots (p_i, q_i), both rising from (0, 0) to (1, 1)

All of them rise with p, so ranks stay, and AUC but for what float32 rounds to ties. p is the log's own probability: a
network that was trained on a share of the rows without a click corrects for that first (`ctrfast.network`).

Source: Platt 1999, Probabilistic outputs for support vector machines; Guo et al. 2017, On Calibration of Modern Neural
Networks, arXiv:1706.04599 (temperature); Zadrozny & Elkan 2002 (isotonic). `ctrfast.calibration_fit` fits and chooses.

    calibration = Calibration.load(Path("bundles/deepfm"))
    calibration.apply(np.array([0.231], np.float32))             # array([0.214], dtype=float32)
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ctrfast.errors import ArtifactError
from ctrfast.folders import write_file
from ctrfast.metrics import (
    Predictions,
    brier_score,
    calibration_ratio,
    expected_calibration_error,
    log_loss,
    normalised_entropy,
    sigmoid,
)

CALIBRATION = "calibration.json"
MOST_SCALE, MOST_SHIFT = 10.0, 100.0  # within these no power of the odds overflows
_LOWEST, _HIGHEST = 1e-20, 1 - 2**-24  # float32 knows no probability between the highest and 1

Method = Literal["identity", "temperature", "platt", "isotonic"]
Floats = npt.NDArray[np.floating]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figures(_Part):
    """How well the probabilities of some rows fit (`ctrfast.metrics`)."""

    log_loss: float
    ece: float
    calibration_ratio: float


class Choice(_Part):
    """What the method was chosen by, on rows of the validation split that the candidates were not fitted on.

    fitted_rows, held_out_rows: of the validation split's two parts. log_losses: of each candidate on the held-out part.
    before, after: of the held-out part, without calibration and with the chosen method as fitted on the other part.
    """

    fitted_rows: int
    held_out_rows: int
    log_losses: dict[Method, float]
    before: Figures
    after: Figures


class Calibration(_Part):
    """What `calibration.json` holds.

    scale, shift: a and b of temperature and Platt. scores, probabilities: the knots of isotonic.
    rows: of the validation split, all of which the parameters were fitted on. reason: why this method.
    """

    method: Method
    scale: float = Field(default=1.0, gt=0, le=MOST_SCALE)
    shift: float = Field(default=0.0, ge=-MOST_SHIFT, le=MOST_SHIFT)
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    rows: int = Field(default=0, ge=0)
    reason: str = ""
    choice: Choice | None = None

    @model_validator(mode="after")
    def _has_its_own_parameters(self) -> Self:
        is_isotonic = self.method == "isotonic"
        if (self.scale != 1 and self.method not in ("temperature", "platt")) or (self.shift and self.method != "platt"):
            raise ValueError(f"`scale` and `shift` do not belong to {self.method}")
        if is_isotonic != bool(self.scores) or len(self.scores) != len(self.probabilities):
            raise ValueError("`scores` and `probabilities` belong to isotonic and are of one length")
        for values in (self.scores, self.probabilities) if is_isotonic else ():
            if (values[0], values[-1]) != (0.0, 1.0) or any(np.diff(values) <= 0):
                raise ValueError("`scores` and `probabilities` must rise from 0 to 1")
        return self

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """The calibration of a run or bundle; the identity in runs that are older than calibration.

        Raises:
            ArtifactError: `calibration.json` cannot be used.
        """
        file = folder / CALIBRATION
        if not file.is_file():
            return cls(method="identity", reason="The run is older than calibration.")
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"The {CALIBRATION} of {folder.name} cannot be used. Write it again.") from error

    def save(self, folder: Path) -> None:
        """Write `calibration.json`."""
        write_file(folder / CALIBRATION, self.model_dump_json(indent=1))

    def apply(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Click probabilities (R,) -> calibrated ones (R,)."""
        if self.method == "identity":
            return probabilities
        if self.method != "isotonic" and len(probabilities) == 1:  # of one row, numpy's calls would take most time
            p = min(max(probabilities.item(), _LOWEST), _HIGHEST)
            return np.array([1 / (1 + self._odds_factor * ((1 - p) / p) ** self.scale)], np.float32)
        return self.exact(probabilities).astype(np.float32)

    def exact(self, probabilities: Floats) -> npt.NDArray[np.float64]:
        """`apply` in float64."""
        p = probabilities.astype(np.float64)
        if self.method == "identity":
            return p
        if self.method == "isotonic":
            between: npt.NDArray[np.float64] = np.interp(p, *self._knots)
            return between
        p = np.minimum(np.maximum(p, _LOWEST), _HIGHEST)
        mended: npt.NDArray[np.float64] = 1 / (1 + self._odds_factor * ((1 - p) / p) ** self.scale)
        return mended

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """The figures that calibration changes, by name (`calibrated_ece` ...), of rows with the network's logits."""
        labels, logits = predictions.arrays()
        after, weight = self.exact(scores_of(logits)), predictions.negative_weight
        figures = {
            "log_loss": log_loss(labels, logits_of(after), weight),
            "normalised_entropy": normalised_entropy(labels, logits_of(after), weight),
            "calibration_ratio": calibration_ratio(labels, after, weight),
            "ece": expected_calibration_error(labels, after, negative_weight=weight),
            "brier": brier_score(labels, after, weight),
        }
        return {f"calibrated_{name}": value for name, value in figures.items() if value is not None}

    @cached_property
    def _knots(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return np.array(self.scores), np.array(self.probabilities)

    @cached_property
    def _odds_factor(self) -> float:
        return math.exp(-self.shift)


def scores_of(logits: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Logits (R,) -> probabilities (R,) as a scorer gives them."""
    return sigmoid(logits).astype(np.float32)


def logits_of(probabilities: Floats) -> npt.NDArray[np.float64]:
    """Probabilities (R,) -> finite logits (R,)."""
    p = np.clip(probabilities.astype(np.float64), _LOWEST, _HIGHEST)
    return np.log(p) - np.log1p(-p)
