"""All pages in one router; the last route answers what no page has."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from service.negotiation import prefers_html
from service.pages import (
    assets,
    dataset_pages,
    jobs_pages,
    model_pages,
    new_job_page,
    score_page,
    session,
    sweep_pages,
)
from service.pages.session import HOME
from service.pages.shell import page

router = APIRouter(include_in_schema=False)
for module in (
    assets,
    session,
    new_job_page,  # `/ui/jobs/new` goes before `/ui/jobs/{job_id}`
    jobs_pages,
    dataset_pages,
    sweep_pages,
    model_pages,
    score_page,
):
    router.include_router(module.router)


@router.get("/")
@router.get("/ui")
@router.get("/ui/")
def home(request: Request) -> RedirectResponse:
    """Browsers are sent to the first page; a script finds nothing at `/`."""
    if request.url.path == "/" and not prefers_html(request.headers.get("accept", "")):
        raise HTTPException(404)
    return RedirectResponse(HOME, 303)


@router.get("/ui/{rest:path}")
def no_page(request: Request, rest: str) -> HTMLResponse:
    """What is answered under `/ui` where there is no page."""
    return page(request, "no_page.html", title="No such page", status=404, rest=rest)
