"""Pages of sweeps: the list, and one with its pictures."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/ui/sweeps")
def sweeps_page(request: Request) -> HTMLResponse:
    """All sweeps, newest first."""
    return page(request, "sweeps.html", title="Sweeps", active="sweeps")


@router.get("/ui/sweeps/{job_id}")
def sweep_page(request: Request, job_id: str) -> HTMLResponse:
    """One sweep. Whether it exists is for its route to say; the page shows that."""
    return page(request, "sweep.html", title=f"Sweep {job_id}", active="sweeps", job_id=job_id)
