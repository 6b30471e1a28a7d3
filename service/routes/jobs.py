"""Jobs: submit, list, look at, cancel, retry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.answers import JobCreate, JobList, JobPublic
from service.dependencies import CallerDep, IdempotencyKey, JobId, JobsDep, SubmissionsDep, problems
from service.json_bodies import JsonRoute
from service.states import Kind, State

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=JsonRoute)


@router.post("", status_code=202, responses=problems(400, 403, 409, 422))
def create_job(
    request: JobCreate,
    response: Response,
    caller: CallerDep,
    submissions: SubmissionsDep,
    idempotency_key: IdempotencyKey = None,
) -> JobPublic:
    """Queue a job. 422: a setting breaks a rule (`path` names it), or the key was used for another body.

    409: a prepare job's name is taken, or another prepare job is at work on it.
    """
    job, replayed = submissions.submit(request.kind, request.spec, owner=caller, key=idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return JobPublic.of(job)


@router.get("", responses=problems(422))
def list_jobs(
    jobs: JobsDep,
    state: State | None = None,
    kind: Kind | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{1,32}$")] = None,
) -> JobList:
    """Jobs that match, newest first; filtered before they are cut into pages."""
    page = jobs.page(state=state, kind=kind, limit=limit, cursor=cursor)
    return JobList(jobs=[JobPublic.of(job) for job in page.jobs], next_cursor=page.next_cursor)


@router.get("/{job_id}", responses=problems(404))
def get_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """One job."""
    return JobPublic.of(jobs.get(job_id))


@router.post("/{job_id}/cancel", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Stop a job. A running one has time to save a checkpoint. 409: it has ended."""
    return JobPublic.of(jobs.cancel(job_id))


@router.post("/{job_id}/retry", status_code=202, responses=problems(404, 409))
def retry_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Queue a failed or cancelled job again, from its last checkpoint. 409: it has not ended, or has succeeded."""
    return JobPublic.of(jobs.retry(job_id))
