"""Routes whose answers leave compressed where the caller takes gzip.

A class of single routes, no middleware of the whole application: scoring and event streams never pass through it.
It is for answers that are long and hold no secret. The length of a compressed answer tells whether what a request
brought resembles a secret beside it (Gluck, Harris and Prado 2013, "BREACH"), so pages, which hold the CSRF token and
may repeat parts of their address, are sent as they are.
"""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from service.negotiation import takes_gzip

_LEAST_BYTES = 2048  # shorter ones fit into two packets either way
_LEVEL = 6  # zlib's own choice; 9 takes twice as long for a hundredth less


class CompressedRoute(APIRoute):
    """A route whose answers of some length are compressed, in a thread where they are very long."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, compressed where the caller takes it."""
        takes_it = takes_gzip(Headers(scope=scope).get("accept-encoding", ""))
        app = GZipMiddleware(super().handle, _LEAST_BYTES, _LEVEL) if takes_it else super().handle
        await app(scope, receive, send)
