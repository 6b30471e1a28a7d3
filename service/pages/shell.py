"""The frame of every page: layout, navigation, sign-out, and what the page's script knows of its caller.

    @router.get("/ui/jobs/{job_id}")
    def job_page(request: Request, job_id: str) -> HTMLResponse:
        return page(request, "job.html", title="Job", active="jobs", job_id=job_id)

A template extends `layout.html` and names its scripts; it gets `rights` (the caller's scopes, as texts), `asset(name)`,
`module(name)` and the values that are given here. Whatever a template inserts is escaped. Inline scripts and styles do
not run.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.access import LOCAL_CALLER, Caller, Right, rights_text
from service.pages.assets import assets

CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'"

# (name, address, text, right without which it is not shown)
NAVIGATION: tuple[tuple[str, str, str, Right], ...] = (
    ("jobs", "/ui/jobs", "Jobs", Right.JOBS_READ),
    ("new-job", "/ui/jobs/new", "New job", Right.JOBS_WRITE),
    ("datasets", "/ui/datasets", "Datasets", Right.JOBS_READ),
    ("sweeps", "/ui/sweeps", "Sweeps", Right.JOBS_READ),
    ("models", "/ui/models", "Models", Right.MODELS_READ),
    ("score", "/ui/score", "Try a score", Right.SCORE),
)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = assets().address
    environment.globals["module"] = _module
    return environment


@cache
def _module(name: str) -> Markup:
    """A module as a page's script, and links to what it imports, so that a browser asks for all of it at once."""
    address = assets().address
    links = [Markup('<link rel="modulepreload" href="{}">').format(address(other)) for other in assets().imported(name)]
    return Markup("\n").join([Markup('<script type="module" src="{}"></script>').format(address(name)), *links])


def page(
    request: Request, template: str, *, title: str, active: str | None = None, status: int = 200, **values: object
) -> HTMLResponse:
    """A page as an answer.

    Args:
        request: whose caller, if any, says what is shown.
        template: its file.
        title: of the browser's tab.
        active: name of the entry of `NAVIGATION` that it belongs to.
        status: of the answer.
        values: for the template.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    rights = frozenset[Right]() if caller is None else caller.rights
    content = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            active=active,
            navigation=[entry for entry in NAVIGATION if entry[3] in rights],
            rights=[str(right) for right in rights],
            rights_text=rights_text(rights),
            who=None if caller is None or caller == LOCAL_CALLER else _who(caller),
            csrf_token=getattr(request.state, "csrf_token", ""),
            **values,
        )
    )
    return HTMLResponse(content, status_code=status, headers={"Content-Security-Policy": CONTENT_POLICY})


def _who(caller: Caller) -> str:
    key = f"{caller.name} ({caller.id})" if caller.name else caller.id
    return f"{caller.project} / key {key}"
