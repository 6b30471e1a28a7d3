"""Routes that read their body as JSON whatever its Content-Type says: `curl -d` sends that of a form.

Reading it so opens no door to other pages: `service.guard` looks at Origin or key first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from service.problems import TooDeepError

MAX_DEPTH = 64

_NAME = b"content-type"
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def depth_of(body: bytes) -> int:
    """How deep a JSON text nests at its deepest; of a text that is no JSON, any number."""
    brackets = _STRING.sub(b"", body).translate(None, delete=_NO_BRACKET)
    codes = np.frombuffer(brackets, np.uint8)
    steps = np.where((codes == ord("[")) | (codes == ord("{")), 1, -1)
    return int(np.cumsum(steps).max(initial=0))


class JsonRoute(APIRoute):
    """A route whose body is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, behind a request that says `application/json`."""
        handle = super().get_route_handler()

        async def handle_as_json(request: Request) -> Response:
            others = [(name, value) for name, value in request.scope["headers"] if name != _NAME]
            scope = {**request.scope, "headers": [*others, (_NAME, b"application/json")]}
            again = Request(scope, request.receive)
            if depth_of(await again.body()) > MAX_DEPTH:  # kept by the request: it is read once
                raise TooDeepError(f"The body may nest at most {MAX_DEPTH} deep. Send a flatter one.")
            return await handle(again)

        return handle_as_json
