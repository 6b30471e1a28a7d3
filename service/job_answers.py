"""Jobs in answers: what their rows hold, places in the queue, and how a sweep's runs are.

Pages ask for jobs again and again. A row was checked when it was written, so `job_json` and `jobs_json` write down its
values as they are, to the byte what `JobPublic` and `JobList` would make of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field
from pydantic_core import to_json

from service.listed_jobs import JobPage
from service.states import Kind, Reason, State
from service.tables import Job, JobRow
from service.times import iso_time, iso_time_or_none


class JobPublic(BaseModel):
    """A job as its caller sees it. Times are UTC; `eta_s` is None until known.

    position: place in the queue, from 1, while it waits there. not_before: the end of the wait for a retry.
    pausing: it runs, and will pause when its work is saved. parent: the sweep that it is a run of.
    children: of a sweep, how many of its runs are in each state; None for any other kind.
    """

    id: str
    kind: Kind
    state: State
    progress: Annotated[float, Field(ge=0, le=1)]
    eta_s: float | None
    metrics: dict[str, Any]
    result: dict[str, Any]
    reason: Reason | None
    message: str | None
    attempt: int
    spec: dict[str, Any]
    priority: int
    position: int | None
    pausing: bool
    labels: dict[str, str]
    parent: str | None
    children: dict[str, int] | None
    deadline_at: str | None
    not_before: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    @classmethod
    def of(
        cls, job: Job, positions: Mapping[str, int], children: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    ) -> Self:
        """A row as an answer. positions: of waiting jobs. children: of sweeps (`service.listed_jobs`)."""
        return cls(**_facts(job, positions, children))


class JobList(BaseModel):
    """A page of jobs, newest first. `next_cursor` asks for the next one; None at the end."""

    jobs: list[JobPublic]
    next_cursor: str | None


def job_json(page: JobPage) -> bytes:
    """The first job of a page, a `JobPublic`."""
    return _json(_facts(page.jobs[0], page.positions, page.children))


def jobs_json(page: JobPage) -> bytes:
    """A page, a `JobList`."""
    jobs = [_facts(job, page.positions, page.children) for job in page.jobs]
    return _json({"jobs": jobs, "next_cursor": page.next_cursor})


def _facts(job: JobRow, positions: Mapping[str, int], children: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The fields of `JobPublic`, in their order."""
    waits = job.state == State.QUEUED and job.not_before > 0
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": job.progress,
        "eta_s": job.eta_s,
        "metrics": job.metrics,
        "result": job.result,
        "reason": job.reason or None,
        "message": job.message,
        "attempt": job.attempt,
        "spec": job.spec,
        "priority": job.priority,
        "position": positions.get(job.id),
        "pausing": job.pausing,
        "labels": job.labels,
        "parent": job.parent_id,
        "children": children.get(job.id),
        "deadline_at": iso_time_or_none(job.deadline_at),
        "not_before": iso_time(job.not_before) if waits else None,
        "created_at": iso_time(job.created_at),
        "started_at": iso_time_or_none(job.started_at),
        "finished_at": iso_time_or_none(job.finished_at),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return to_json(content, inf_nan_mode="null")  # as models do
