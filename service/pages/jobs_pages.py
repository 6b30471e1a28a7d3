"""Pages of jobs: the list, and one job."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page
from service.states import Kind, State

router = APIRouter(include_in_schema=False)


@router.get("/ui/jobs")
def jobs_page(request: Request) -> HTMLResponse:
    """The list of jobs; `state`, `kind` and `label` of the query are its filters, as those of `GET /v1/jobs`."""
    return page(request, "jobs.html", title="Jobs", active="jobs", states=list(State), kinds=list(Kind))


@router.get("/ui/jobs/{job_id}")
def job_page(request: Request, job_id: str) -> HTMLResponse:
    """One job. Whether it exists is for its route to say; the page shows that."""
    return page(request, "job.html", title=f"Job {job_id}", active="jobs", job_id=job_id)
