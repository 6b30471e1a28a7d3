"""Jobs: submit, list, look at, pause, resume, cancel, retry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from service.answers import JobCreate, JobList, JobPublic
from service.dependencies import CallerDep, IdempotencyKey, JobId, JobsDep, SubmissionsDep, problems
from service.jobs import JobStore
from service.json_bodies import JsonRoute
from service.options import MOST_LABELS, JobOptions, parse_label_filters
from service.states import Kind, State
from service.tables import Job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=JsonRoute)


@router.post("", status_code=202, responses=problems(400, 403, 409, 422, 429))
def create_job(
    request: JobCreate,
    response: Response,
    caller: CallerDep,
    submissions: SubmissionsDep,
    idempotency_key: IdempotencyKey = None,
) -> JobPublic:
    """Queue a job. 422: a setting breaks a rule (`path` names it), or the key was used for another body.

    409: a prepare job's name is taken, or another prepare job is at work on it. 429: as many jobs wait as may.
    """
    options = JobOptions(**{name: getattr(request, name) for name in JobOptions.model_fields})
    job, replayed = submissions.submit(request.kind, request.spec, owner=caller, key=idempotency_key, options=options)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return _answer(submissions.jobs, job)


@router.get("", response_model=JobList, responses=problems(404, 422))
def list_jobs(
    jobs: JobsDep,
    state: State | None = None,
    kind: Kind | None = None,
    label: Annotated[list[str] | None, Query(max_length=MOST_LABELS, examples=[["team=ads"]])] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{1,32}$")] = None,
    parent: Annotated[str | None, Query(min_length=1, max_length=32)] = None,
) -> Response:
    """Jobs that match, newest first; filtered before they are cut into pages. Several labels must all be there.

    `parent`: the runs of a sweep; 404: there is no such job.
    """
    if parent is not None:
        jobs.get(parent)
    labels = parse_label_filters(label or ())
    page = jobs.page(state=state, kind=kind, labels=labels, limit=limit, cursor=cursor, parent=parent)
    positions, children = jobs.positions(page.jobs), jobs.children(page.jobs)
    public = [JobPublic.of(job, positions, children) for job in page.jobs]
    return _json(JobList(jobs=public, next_cursor=page.next_cursor))


@router.get("/{job_id}", response_model=JobPublic, responses=problems(404))
def get_job(job_id: JobId, jobs: JobsDep) -> Response:
    """One job."""
    return _json(_answer(jobs, jobs.get(job_id)))


@router.post("/{job_id}/cancel", status_code=202, responses=problems(404, 409))
def cancel_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Stop a job. A running one has time to save a checkpoint. 409: it has ended."""
    return _answer(jobs, jobs.cancel(job_id))


@router.post("/{job_id}/pause", status_code=202, responses=problems(404, 409))
def pause_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Keep a job from running. A running one saves its work and gives its worker free: `pausing` until then.

    409: it is paused, being cancelled, or has ended.
    """
    return _answer(jobs, jobs.pause(job_id))


@router.post("/{job_id}/resume", status_code=202, responses=problems(404, 409))
def resume_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Queue a paused job; it goes on from where it stopped. 409: nobody has paused it."""
    return _answer(jobs, jobs.resume(job_id))


@router.post("/{job_id}/retry", status_code=202, responses=problems(404, 409))
def retry_job(job_id: JobId, jobs: JobsDep) -> JobPublic:
    """Queue a failed or cancelled job again, from its last checkpoint. 409: it has not ended, or has succeeded."""
    return _answer(jobs, jobs.retry(job_id))


def _answer(jobs: JobStore, job: Job) -> JobPublic:
    return JobPublic.of(job, jobs.positions([job]), jobs.children([job]))


def _json(answer: BaseModel) -> Response:
    """An answer that pages ask for again and again: the framework would check it anew, in one more thread."""
    return Response(answer.model_dump_json(), media_type="application/json")
