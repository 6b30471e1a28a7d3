"""New jobs, as rows that are not stored yet: they wait in the queue, and the runs of a sweep come with it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from service.fingerprints import fingerprint
from service.options import JobOptions
from service.states import Kind, State
from service.tables import Job


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


def runs_of_a_sweep(sweep: Job, specs: Sequence[Mapping[str, Any]], options: JobOptions) -> list[Job]:
    """Train jobs for a sweep's owner and with its options; their ids sort as its points do. Has it wait for them."""
    runs = [
        new_job(
            f"{sweep.id[:12]}{index:04x}{secrets.token_hex(3)}",
            Kind.TRAIN,
            spec,
            options.of_child(),
            owner=sweep.owner,
            project=sweep.project,
            attempts=sweep.attempts_left,
            now=sweep.created_at,
        )
        for index, spec in enumerate(specs)
    ]
    for run in runs:
        run.parent_id = sweep.id
    sweep.waits_for_children = bool(runs)
    return runs
