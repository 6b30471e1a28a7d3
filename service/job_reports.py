"""What a job came to, to read: a training's plan with reasons, figures and clipped shares, a sweep's table.

A prepare job's report is that of its dataset (`service.reports`). A training's is read from its run folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from ctrfast.errors import ArtifactError
from ctrfast.optim.scaling import Plan
from ctrfast.run import RECORDS, Run
from service.assignments import run_without_weights
from service.jobs import JobStore
from service.problems import NoReportError, NotReportedError
from service.settings import Settings
from service.states import FINAL, Kind, State
from service.sweep_figures import child_config, child_settings, seconds_of
from service.tables import Job


class TrainReport(BaseModel):
    """A finished training.

    plan: the settings in force; `plan.reasons` says where each comes from. metrics: final figures. steps: of the
    optimizer. ended_by: `epochs`, `early_stop` or `callback`. train_s: seconds, with evaluations.
    clipped_share: of the rows present in the last recorded steps, over all fields and by field. evaluations: in order.
    """

    job: str
    config: dict[str, Any]
    plan: Plan
    metrics: dict[str, float]
    steps: int
    ended_by: str
    train_s: float
    rows_per_s: float
    clipped_share: float | None
    clipped_share_by_field: dict[str, float]
    evaluations: list[dict[str, Any]]
    versions: dict[str, str]
    finished_at: str


class SweepRun(BaseModel):
    """A run of a sweep. settings: what the grid sets for it. batch_size: in rows, of the grid or of the base.

    seconds: from its first start to its end. epoch_s: the same per epoch; none where early stopping may have ended it.
    """

    job: str
    settings: dict[str, Any]
    batch_size: int | None
    state: State
    reason: str | None
    message: str | None
    metrics: dict[str, Any]
    seconds: float | None
    epoch_s: float | None

    @classmethod
    def of(cls, sweep: Job, run: Job) -> Self:
        """A row as an answer."""
        config, seconds = child_config(run), seconds_of(run)
        has_all_epochs = config is not None and config.early_stop_patience is None and run.state == State.SUCCEEDED
        return cls(
            job=run.id,
            settings=child_settings(sweep, run),
            batch_size=None if config is None else config.batch_size,
            state=State(run.state),
            reason=run.reason,
            message=run.message,
            metrics=run.metrics,
            seconds=seconds,
            epoch_s=seconds / config.epochs if config and has_all_epochs and seconds else None,
        )


class SweepReport(BaseModel):
    """A sweep that has ended. groups: figures over seeds, mean and sample standard deviation. best: by valid AUC."""

    job: str
    groups: list[dict[str, Any]]
    best: dict[str, Any] | None
    runs: list[SweepRun]


def reported_job(jobs: JobStore, job_id: str) -> Job:
    """A job that has a report.

    Raises:
        NotFoundError: there is no such job. NoReportError: its kind has none.
        NotReportedError: it has not ended, or not well; a sweep has a report however it ended.
    """
    job = jobs.get(job_id)
    if job.kind not in {Kind.TRAIN, Kind.PREPARE, Kind.SWEEP}:
        raise NoReportError(f"A job of the kind {job.kind} has no report.")
    if job.state != State.SUCCEEDED and not (job.kind == Kind.SWEEP and State(job.state) in FINAL):
        raise NotReportedError(State(job.state))
    return job


def sweep_report(jobs: JobStore, sweep: Job) -> SweepReport:
    """The report of a sweep."""
    runs = [SweepRun.of(sweep, run) for run in jobs.runs_of(sweep.id)]
    return SweepReport(job=sweep.id, groups=sweep.metrics.get("groups", []), best=sweep.metrics.get("best"), runs=runs)


def train_report(settings: Settings, job: Job) -> TrainReport:
    """The report of a train job that succeeded. Raises NoReportError where its run's files are not to be had."""
    try:
        with run_without_weights(settings, job.id) as folder:
            run = Run.open(folder)
            records = _records(folder)
    except (ArtifactError, OSError, ValueError) as error:
        raise NoReportError("The files of the job's run are not on this server, or were changed.") from error
    last: dict[str, Any] = next((record for record in reversed(records) if record["kind"] == "train"), {})
    return TrainReport(
        job=job.id,
        config=run.config.model_dump(mode="json"),
        plan=run.plan,
        metrics=run.metrics,
        steps=run.receipt.steps,
        ended_by=run.receipt.ended_by,
        train_s=run.receipt.train_s,
        rows_per_s=run.receipt.rows_per_s,
        clipped_share=last.get("clipped_share"),
        clipped_share_by_field=last.get("clipped_share_by_field", {}),
        evaluations=[_evaluation(record) for record in records if record["kind"] == "evaluation"],
        versions=run.receipt.versions,
        finished_at=run.receipt.finished_at,
    )


def _records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / RECORDS).read_text(encoding="utf-8").splitlines()]


def _evaluation(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "kind"}
