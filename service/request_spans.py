"""A span for each request, around all that is done for it. In place only where traces are on.

Its name is the method and the route's template, never the path. A caller's `traceparent` makes it part of their trace.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.guard import OPEN_PATHS
from service.traces import Traces

_UNTRACED = OPEN_PATHS | {"/metrics"}  # asked again and again by machines
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PARENT = ("traceparent", "tracestate")


class RequestSpans:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, in a span."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = Headers(scope=scope)
        parent = {name: headers[name] for name in _PARENT if name in headers}
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"  # the standard's word for any other text
        with self._traces.span(method, {"http.request.method": method}, parent=parent, is_request=True) as span:
            try:
                await self._app(scope, receive, send_noted)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.rename(f"{method} {route}")
                    span.note({"http.route": route})
                if status is not None:
                    span.note({"http.response.status_code": status})
                    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.fail(str(status))
                request_id = scope.get("state", {}).get("request_id")
                if request_id is not None:
                    span.note({"ctrfast.request_id": request_id})
