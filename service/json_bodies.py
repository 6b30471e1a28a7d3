"""Routes that read their body as JSON whatever its Content-Type says: `curl -d` sends that of a form.

Reading it so opens no door to other pages: `service.guard` looks at Origin or key first.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

_NAME = b"content-type"


class JsonRoute(APIRoute):
    """A route whose body is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, behind a request that says `application/json`."""
        handle = super().get_route_handler()

        async def handle_as_json(request: Request) -> Response:
            others = [(name, value) for name, value in request.scope["headers"] if name != _NAME]
            scope = {**request.scope, "headers": [*others, (_NAME, b"application/json")]}
            return await handle(Request(scope, request.receive))

        return handle_as_json
