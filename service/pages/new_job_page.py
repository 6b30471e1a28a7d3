"""The page that submits a train job."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/ui/jobs/new")
def new_job_page(request: Request) -> HTMLResponse:
    """A form of the train spec's JSON schema; `from` of the query names a job to begin with the settings of."""
    return page(request, "new_job.html", title="New job", active="new-job")
