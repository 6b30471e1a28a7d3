"""The calibration of a run's final weights, fitted on its validation split; and the picture of what it changes."""

from __future__ import annotations

from pathlib import Path

from ctrfast.calibration import Calibration
from ctrfast.calibration_fit import fit_calibration
from ctrfast.data.shards import Dataset
from ctrfast.metrics import Predictions
from ctrfast.run import RELIABILITY


def calibrate_run(out: Path, dataset: Dataset, valid: Predictions, seed: int) -> Calibration:
    """Fit on the predictions of the validation split, in the order of its shards, and write `calibration.json`.

    Of the ways to split, `sequential` alone leaves rows in the order of time: `time` cuts a file in any order.
    """
    labels, logits = valid.arrays()
    in_time_order = dataset.manifest.preparation.get("split") == "sequential"
    calibration = fit_calibration(labels, logits, in_time_order=in_time_order, seed=seed)
    calibration.save(out)
    return calibration


def picture_run(out: Path, predictions: Predictions, calibration: Calibration, split: str) -> None:
    """Draw the reliability diagram of a split that has rows."""
    from ctrfast.reliability import draw_reliability  # matplotlib, which training does without until its end

    draw_reliability(out / RELIABILITY, predictions, calibration, split)
