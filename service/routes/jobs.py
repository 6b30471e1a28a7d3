"""Jobs: submit, look at, pause, resume, cancel, retry."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.answers import JobCreate
from service.dependencies import CallerDep, IdempotencyKey, JobId, JobsDep, SubmissionsDep, problems
from service.job_answers import JobPublic, job_json
from service.jobs import JobStore
from service.json_bodies import JsonRoute
from service.options import JobOptions
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


@router.get("/{job_id}", response_model=JobPublic, responses=problems(404))
def get_job(job_id: JobId, jobs: JobsDep) -> Response:
    """One job."""
    return Response(job_json(jobs.page_of(job_id)), media_type="application/json")


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
