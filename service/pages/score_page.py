"""The page that scores one impression."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/ui/score")
def score_page(request: Request) -> HTMLResponse:
    """A form; `model`, `version` and `beside` of the query are its first choices."""
    return page(request, "score.html", title="Try a score", active="score")
