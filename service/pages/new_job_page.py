"""The page that submits a job."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page
from service.states import Kind

KINDS = {
    Kind.TRAIN: "Training",
    Kind.SWEEP: "Sweep",
    Kind.PREPARE: "Preparation",
    Kind.EVALUATE: "Evaluation",
    Kind.SCORE: "Scoring of files",
}

router = APIRouter(include_in_schema=False)


@router.get("/ui/jobs/new")
def new_job_page(request: Request, kind: str = Kind.TRAIN) -> HTMLResponse:
    """A form of the JSON schema of a kind's spec; `from` of the query names a job to begin with the settings of."""
    if kind not in set(Kind):
        return page(request, "no_page.html", title="No such page", status=404, rest="jobs/new")
    return page(request, "new_job.html", title="New job", active="new-job", kind=kind, kinds=KINDS)
