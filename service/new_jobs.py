"""New jobs: they wait in the queue, and the runs of a sweep come with it, or round by round."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from service.events import STATE, append_event
from service.fingerprints import fingerprint
from service.options import JobOptions
from service.states import Kind, State
from service.tables import Job, JobLabel


def new_job_id() -> str:
    """An id that sorts by time: 12 hex digits of milliseconds, then 10 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"


def new_job(
    job_id: str,
    kind: Kind,
    spec: Mapping[str, Any],
    options: JobOptions,
    *,
    owner: str,
    project: str,
    attempts: int,
    now: float,
) -> Job:
    """A job that waits. attempts: runs that it has."""
    return Job(
        id=job_id,
        kind=kind,
        state=State.QUEUED,
        spec=dict(spec),
        owner=owner,
        project=project,
        fingerprint=fingerprint(kind, spec, options),
        attempts_left=attempts,
        attempt=0,
        last_seq=0,
        priority=options.priority,
        deadline_s=options.deadline_s,
        deadline_at=None if options.deadline_s is None else now + options.deadline_s,
        labels=options.labels,
        webhook=options.webhook.model_dump(mode="json") if options.webhook is not None else None,
        created_at=now,
    )


def runs_of_a_sweep(sweep: Job, specs: Sequence[Mapping[str, Any]], now: float, first: int = 0) -> list[Job]:
    """Train jobs for a sweep's owner and with its options; their ids sort as its points do. Has it wait for them.

    Args:
        sweep: the parent.
        specs: of the runs.
        now: seconds since 1970.
        first: how many runs it has already.
    """
    options = JobOptions(priority=sweep.priority, deadline_s=sweep.deadline_s, labels=sweep.labels)
    runs = [
        new_job(
            f"{sweep.id[:12]}{index:04x}{secrets.token_hex(3)}",
            Kind.TRAIN,
            spec,
            options,
            owner=sweep.owner,
            project=sweep.project,
            attempts=sweep.attempts_left,
            now=now,
        )
        for index, spec in enumerate(specs, first)
    ]
    for run in runs:
        run.parent_id = sweep.id
        run.deadline_at = sweep.deadline_at
    sweep.waits_for_children = bool(runs)
    return runs


def queue(session: Session, jobs: Sequence[Job], **facts: Any) -> None:
    """Store new jobs with their labels, and tell that they wait. facts: for the event."""
    session.add_all(jobs)
    session.flush()
    for job in jobs:
        session.add_all(JobLabel(job_id=job.id, key=name, value=value) for name, value in job.labels.items())
        append_event(session, job, STATE, {"state": State.QUEUED, "attempt": 0, **facts})
