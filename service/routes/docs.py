"""A page that lists all routes: plain HTML made here, so no script is loaded from elsewhere and it works offline."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(tags=["operations"])

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ctrfast</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}}
td,th{{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}}code{{white-space:nowrap}}</style>
<h1>ctrfast</h1><p>{about} The full description is <a href="openapi.json">openapi.json</a>.</p>
<table><thead><tr><th>Route<th>What it does</thead><tbody>{rows}</tbody></table></html>"""


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """All routes on one page."""
    document: dict[str, Any] = request.app.openapi()
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{escape(operation.get('description', ''))}"
        for path, operations in sorted(document["paths"].items())
        for method, operation in operations.items()
    )
    page = _PAGE.format(about=escape(document["info"]["description"]), rows=rows)
    return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})
