"""Pages of datasets: the list, and the data report of one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/ui/datasets")
def datasets_page(request: Request) -> HTMLResponse:
    """All datasets."""
    return page(request, "datasets.html", title="Datasets", active="datasets")


@router.get("/ui/datasets/{name}")
def dataset_page(request: Request, name: str) -> HTMLResponse:
    """One dataset. Whether it exists is for its route to say; the page shows that."""
    return page(request, "dataset.html", title=f"Dataset {name}", active="datasets", name=name)
