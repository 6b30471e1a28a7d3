"""Hopeless runs of a sweep job end early, by the median rule (`ctrfast.sweep.pruning`).

A run is held against those of its sweep that had succeeded when its attempt began, by the validation AUC that they
reported at the end of each epoch. It ends as cancelled with `result.pruned`, keeps its checkpoint, and leaves the sweep
as good as if it had succeeded; a retry of it goes on from there, and is held against what has succeeded by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctrfast.sweep.pruning import medians
from service.specs import parse_train_spec
from service.states import State
from service.tables import Job

PRUNED = "pruned"


class PrunedError(Exception):
    """The run is hopeless; the message says by what."""


def is_pruned(job: Job) -> bool:
    """Whether a job was ended early as hopeless."""
    return job.state == State.CANCELLED and bool(job.result.get(PRUNED))


def bars(finished: Mapping[str, Sequence[Mapping[str, Any]]], specs: Mapping[str, Any], rows: int) -> dict[int, float]:
    """The validation AUC that a run must have, by epoch.

    Args:
        finished: metric series of the runs that have succeeded, by job.
        specs: their train specs, by job.
        rows: of the training split.
    """
    return medians([_epoch_aucs(series, rows // _batch_size(specs[job])) for job, series in finished.items()])


def _batch_size(spec: Mapping[str, Any]) -> int:
    return parse_train_spec(spec).config.batch_size


def _epoch_aucs(series: Sequence[Mapping[str, Any]], steps_per_epoch: int) -> dict[int, float]:
    return {
        record["step"] // steps_per_epoch: record["valid_auc"]
        for record in series
        if record.get("valid_auc") is not None and record["step"] % steps_per_epoch == 0
    }
