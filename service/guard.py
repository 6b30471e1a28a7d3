"""What every request passes first: an id, who is asking and how often, sizes; and what every answer leaves with.

Without a key (loopback) only local Host names are answered, so that a web page cannot reach the service by pointing a
name of its own at 127.0.0.1, and a state-changing request from another page's Origin is refused.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.access import LOCAL_CALLER, Caller, Right, changes_something, needed_right
from service.audit import Deed
from service.browser_sessions import csrf_token, is_csrf_token, session_token
from service.pages.assets import STATIC
from service.pages.session import SIGN_IN, sign_in_instead
from service.problem_answers import problem_response, service_problem
from service.problems import (
    BodyTimeoutError,
    CsrfTokenError,
    ForeignCallerError,
    HeadersTooLargeError,
    ServiceError,
    TooLargeError,
    UnauthorizedError,
    database_unavailable,
)
from service.protocol import MAX_HEAD_BYTES
from service.rates import RateLimit
from service.security_headers import secure
from service.wiring import Services

log = logging.getLogger("service.api")
access_log = logging.getLogger("service.access")

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
CLIENT_CLOSED_REQUEST, BROKEN_OFF = 499, 599  # counted, never sent
_DOTS_OF_A_TOKEN = 2  # of a JWT; a key has one
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _BrokenOffError(Exception):
    """An answer had begun that could not be ended."""


class Guard:
    """ASGI middleware around the whole application. Leaves `request_id`, `headers` and `caller` in the scope's state.

    Args:
        app: the application.
        services: settings, keys and counters.
        require_key: demand an API key; else demand a local caller.
    """

    def __init__(self, app: ASGIApp, services: Services, require_key: bool) -> None:
        self._app = app
        self._services = services
        self._require_key = require_key
        self._rates = RateLimit(services.settings.rate_per_s)
        self._name = secrets.token_hex(4)  # of this process, before the numbers of its requests
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{self._name}{next(self._numbers):08x}"
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers)
        logs.begin(request_id=request_id)
        started = time.perf_counter()
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = secure([*message["headers"], (b"x-request-id", request_id.encode())])
                await self._note(scope, message, request_id)
            await send(message)

        try:
            await self._answer(scope, receive, send_marked, headers, request_id)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST  # nobody is left to answer
        except _BrokenOffError:
            status = BROKEN_OFF  # the server closes the connection, so that nobody takes the part for the whole
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            self._services.telemetry.count_request(scope["method"], route, status, seconds)
            _log_answer(scope, route, status, seconds)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str], request_id: str
    ) -> None:
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        refusal: Response
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
                raise HeadersTooLargeError(f"The headers must hold at most {MAX_HEAD_BYTES:,} bytes.")
            if scope["path"] == SIGN_IN and scope["method"] not in _SAFE_METHODS:
                self._slow_down(scope)
            if not _is_open(scope["path"]):
                scope["state"]["caller"] = caller = await self._caller(scope, headers)
                logs.bind(caller=caller.id)
                self._rates.take(f"key {caller.id}")
            receive = await self._body(receive, headers)
            await self._app(scope, receive, send_noted)
            return
        except UnauthorizedError as error:
            refusal = sign_in_instead(scope, headers) or service_problem(error, request_id)
        except ServiceError as error:
            refusal = service_problem(error, request_id)
        except ClientDisconnect:
            raise
        except SQLAlchemyError as error:  # of the key's look-up; routes have their own handler
            log.error("request %s: the database does not answer: %s", request_id, type(error).__name__)
            refusal = service_problem(database_unavailable(), request_id)
        except Exception as error:
            if has_begun and isinstance(error.__cause__, ServiceError | SQLAlchemyError):  # Starlette's, round ours
                log.error("request %s broke off: %s", request_id, type(error.__cause__).__name__)
                raise _BrokenOffError from None
            log.exception("request %s failed", request_id)
            if has_begun:
                raise
            refusal = problem_response(
                500,
                "internal",
                "Internal error",
                "The service made an error. Its log has the details under this request id.",
                request_id=request_id,
            )
        await refusal(scope, receive, send)

    async def _caller(self, scope: Scope, headers: Mapping[str, str]) -> Caller:
        """Whose key this is; the local caller where none is needed and none is given."""
        if not self._require_key:
            _require_local(scope["method"], headers)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not key:
            return await self._of_browser(scope, headers) if self._require_key else LOCAL_CALLER
        caller = self._services.keys.remembered(key)
        if caller is None and self._services.tokens is not None and key.count(".") == _DOTS_OF_A_TOKEN:
            caller = await asyncio.to_thread(self._services.tokens.verify, key)
        elif caller is None:
            self._slow_down(scope)
            caller = await asyncio.to_thread(self._services.keys.verify, key)
        if caller is None:
            raise UnauthorizedError()
        return caller

    async def _of_browser(self, scope: Scope, headers: Mapping[str, str]) -> Caller:
        """Whose session the cookie names. Leaves `csrf_token` in the scope's state."""
        token = session_token(headers.get("cookie", ""))
        caller = None if token is None else await asyncio.to_thread(self._services.browser_sessions.caller, token)
        if token is None or caller is None:
            raise UnauthorizedError()
        if scope["method"] not in _SAFE_METHODS and not is_csrf_token(headers.get("x-csrf-token", ""), token):
            raise CsrfTokenError()
        scope["state"]["csrf_token"] = csrf_token(token)
        return caller

    def _slow_down(self, scope: Scope) -> None:
        """Guesses at keys cost us time."""
        self._rates.take(f"peer {(scope.get('client') or ('',))[0]}")

    async def _body(self, receive: Receive, headers: Mapping[str, str]) -> Receive:
        limit_s = self._services.settings.body_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await _limited(receive, headers, self._services.settings.max_body_bytes)
        except TimeoutError as error:
            raise BodyTimeoutError(limit_s) from error

    async def _note(self, scope: Scope, answer: Message, request_id: str) -> None:
        """Write a change into the audit log before its answer leaves. The change stands whether or not it can be."""
        route = getattr(scope.get("route"), "path", None)
        caller: Caller | None = scope["state"].get("caller")
        if route is None or caller is None or not changes_something(scope["method"], route):
            return
        location: bytes = dict(answer["headers"]).get(b"location", b"")
        target = location.decode("latin-1") or scope["path"]
        deed = Deed(caller.id, caller.project, scope["method"], route, target, answer["status"], request_id)
        try:
            await asyncio.to_thread(self._services.audit.write, deed)
        except SQLAlchemyError as error:
            log.error("request %s: no audit entry could be written (%s): %s", request_id, type(error).__name__, deed)


def _log_answer(scope: Scope, route: str, status: int, seconds: float) -> None:
    """Log the route's template, never the path or the query: callers write secrets into them."""
    method = scope["method"]
    often = route in OPEN_PATHS or route == "/metrics" or needed_right(method, route) is Right.SCORE
    level = logging.DEBUG if often and status < HTTPStatus.BAD_REQUEST else logging.INFO
    if access_log.isEnabledFor(level):
        facts: dict[str, object] = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
        job_id = scope.get("path_params", {}).get("job_id")
        if job_id is not None and (status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.CONFLICT):
            # There is such a job; else it may be any text.
            facts["job_id"] = job_id
        access_log.log(level, "answered", extra=facts)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path == SIGN_IN or path.startswith(f"{STATIC}/")


def _headers(scope: Scope) -> Mapping[str, str]:
    """Headers by name; the first of several with one name."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _require_local(method: str, headers: Mapping[str, str]) -> None:
    host = headers.get("host", "")
    if _host_name(f"//{host}") not in LOCAL_HOSTS:
        raise ForeignCallerError(f"Without an API key only local Host names are answered. Got {host[:100]!r}.")
    origin = headers.get("origin")
    if origin is not None and method not in _SAFE_METHODS and _netloc(origin) != host.lower():
        raise ForeignCallerError(
            f"Without an API key only the service's own Origin may change things. Got {origin[:100]!r}."
        )


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return None


async def _limited(receive: Receive, headers: Mapping[str, str], limit: int) -> Receive:
    """Read the body up to the limit and hand it on. A length that is announced too large is refused unread.

    Raises:
        TooLargeError: see above. ClientDisconnect: the caller hung up before the body was whole.
    """
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 15 or int(announced) > limit):
        raise _too_large(limit)
    if not announced and "transfer-encoding" not in headers:
        return receive
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return _replay([{"type": "http.request", "body": b"".join(chunks), "more_body": False}], receive)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The body must hold at most {limit:,} bytes.", headers={"Connection": "close"})


def _replay(messages: list[Message], then: Receive) -> Receive:
    async def receive() -> Message:
        return messages.pop(0) if messages else await then()

    return receive
