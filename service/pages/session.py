"""Signing in with an API key, and out. A browser without a session that asks for a page is sent to the sign-in page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from service.audit import Deed
from service.browser_sessions import COOKIE, LIFE_S, session_token
from service.dependencies import ServicesDep
from service.negotiation import prefers_html
from service.pages.shell import page
from service.problems import ForeignCallerError

SIGN_IN = "/ui/sign-in"
HOME = "/ui/jobs"
_SEE_OTHER = 303
_BAD_KEY = "This key is not known, was revoked or has expired."

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=2000)]


@router.get(SIGN_IN)
def sign_in_page(request: Request, services: ServicesDep, following: Next = HOME) -> Response:
    """The form; where no key is needed, there is nothing to sign in to."""
    if services.settings.require_key is False:
        return RedirectResponse(HOME, _SEE_OTHER)
    return _form(request, following)


@router.post(SIGN_IN)
async def sign_in(request: Request, services: ServicesDep, following: Next = HOME) -> Response:
    """Verify the key and begin a session, then go on to `next`. 401: the form once more."""
    _require_own_page(request)
    fields = parse_qs((await request.body()).decode(errors="replace"))
    key = fields.get("key", [""])[0].strip()
    caller = await asyncio.to_thread(services.keys.verify, key)
    if caller is None:
        return _form(request, following, _BAD_KEY)
    deed = Deed(caller.id, caller.project, "POST", SIGN_IN, SIGN_IN, _SEE_OTHER, request.state.request_id)
    token = await asyncio.to_thread(services.browser_sessions.begin, caller, deed)
    answer = RedirectResponse(following if following.startswith("/ui/") else HOME, _SEE_OTHER)
    answer.set_cookie(
        COOKIE, token, max_age=LIFE_S, path="/", httponly=True, samesite="strict", secure=_is_encrypted(request)
    )
    return answer


@router.post("/ui/sign-out", status_code=204)
def sign_out(request: Request, services: ServicesDep) -> Response:
    """End the session that the cookie names, and forget the cookie."""
    token = session_token(request.headers.get("cookie", ""))
    if token is not None:
        services.browser_sessions.end(token)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_encrypted(request))
    return answer


def sign_in_instead(scope: Scope, headers: Mapping[str, str]) -> Response | None:
    """Where a browser that needs a session goes; None for whatever is no page."""
    path = scope["path"]
    is_page = path == "/" or path == "/ui" or path.startswith("/ui/")
    if not is_page or scope["method"] != "GET" or not prefers_html(headers.get("accept", "")):
        return None
    query = scope["query_string"].decode("latin-1")
    wanted = quote(path, safe="/") + (f"?{query}" if query else "")
    return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='/')}", _SEE_OTHER)


def _form(request: Request, following: str, error: str | None = None) -> HTMLResponse:
    status = 200 if error is None else 401
    return page(request, "sign_in.html", title="Sign in", status=status, following=following, error=error)


def _require_own_page(request: Request) -> None:
    """Refuse another site's form: it would sign the reader in with a key of its own."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not (own if site is None else site in ("same-origin", "none")):
        raise ForeignCallerError("Only the service's own page may sign in.")


def _is_encrypted(request: Request) -> bool:
    """Whether the browser came by https, also where a proxy ends it: then the form's Origin says so."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
