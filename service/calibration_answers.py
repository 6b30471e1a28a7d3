"""How a published version was calibrated, and its reliability diagram on the test rows that its training kept."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from ctrfast.calibration import CALIBRATION, Calibration, Choice, Method, scores_of
from ctrfast.errors import ArtifactError
from ctrfast.folders import MANIFEST
from ctrfast.kept_scores import KeptScores, load_scores
from ctrfast.reliability_bins import Reliability
from ctrfast.run import Run
from service.assignments import run_without_weights
from service.paths import without_server_paths
from service.problems import ModelUnavailableError
from service.registry import Registry
from service.settings import Settings

_NO_ROWS = "Its training had no test rows."
_NO_FILES = "The files of the training are not on this server, or were changed."


class ReliabilityBin(BaseModel):
    """Neighbouring rows by probability. low, high: of the 95 % Wilson interval about the click rate seen."""

    predicted: float
    seen: float
    low: float
    high: float
    rows: int


class VersionCalibration(BaseModel):
    """A version's calibration.

    fitted_rows: of the validation split. choice: what the method was chosen by. test_rows, before, after: the
    reliability diagram of the test split, without calibration and with it; `note` says why there is none.
    """

    model: str
    version: int
    method: Method
    reason: str
    fitted_rows: int
    choice: Choice | None
    test_rows: int
    before: list[ReliabilityBin]
    after: list[ReliabilityBin]
    note: str | None

    @classmethod
    def of(cls, settings: Settings, registry: Registry, name: str, version: int) -> Self:
        """Read the calibration from the bundle and the scores from the run.

        Raises:
            NotFoundError, VersionRemovedError: there is no such version, or no longer.
            ModelUnavailableError: its `calibration.json` cannot be used.
        """
        row = registry.live_version(name, version)
        calibration = _calibration(registry, name, version)
        try:
            scores = None if row.job_id is None else _scores(settings, row.job_id)
            note = _NO_ROWS if scores is None else None
        except ArtifactError:
            scores, note = None, _NO_FILES
        plain = None if scores is None else scores_of(scores.logits)
        mended = None if plain is None or calibration.method == "identity" else calibration.apply(plain)
        return cls(
            model=name,
            version=version,
            method=calibration.method,
            reason=calibration.reason,
            fitted_rows=calibration.rows,
            choice=calibration.choice,
            test_rows=0 if scores is None else len(scores.labels),
            before=_bins(scores, plain),
            after=_bins(scores, mended),
            note=note,
        )


def _calibration(registry: Registry, name: str, version: int) -> Calibration:
    try:
        with registry.opened(name, version, lambda file: file in {MANIFEST, CALIBRATION}) as (folder, _):
            if not (folder / MANIFEST).is_file():
                raise ModelUnavailableError(f"The files of version {version} of {name!r} are missing.")
            return Calibration.load(folder)
    except ArtifactError as error:
        raise ModelUnavailableError(without_server_paths(error.message)) from error


def _scores(settings: Settings, job_id: str) -> KeptScores | None:
    """What the training kept; None where it had no test rows. Raises ArtifactError."""
    with run_without_weights(settings, job_id) as folder:
        sha256 = Run.open(folder).receipt.test_scores
        return None if sha256 is None else load_scores(folder, sha256)


def _bins(scores: KeptScores | None, probabilities: npt.NDArray[np.float32] | None) -> list[ReliabilityBin]:
    if scores is None or probabilities is None:
        return []
    bins = Reliability.of(scores.labels, probabilities)
    columns = (bins.predicted, bins.seen, bins.low, bins.high, bins.rows)
    named = zip(*(column.tolist() for column in columns), strict=True)
    return [
        ReliabilityBin(predicted=predicted, seen=seen, low=low, high=high, rows=rows)
        for predicted, seen, low, high, rows in named
    ]
