"""Pages of models: the list, and one with its versions and aliases."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/ui/models")
def models_page(request: Request) -> HTMLResponse:
    """All models."""
    return page(request, "models.html", title="Models", active="models")


@router.get("/ui/models/{name}")
def model_page(request: Request, name: str) -> HTMLResponse:
    """One model; `version` of the query is the one that is looked at. Whether it exists, the page's script asks."""
    return page(request, "model.html", title=f"Model {name}", active="models", name=name)
