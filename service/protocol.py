"""uvicorn's HTTP protocol, with an end to what a caller may send before its request has begun.

uvicorn on httptools collects header lines without a limit and waits for them without one. Here a head that is not
whole after `MAX_HEAD_BYTES` or `HEAD_TIMEOUT_S` ends the connection, without a word where no byte of it has come. A
whole one that is too large comes in one piece, at most what a single read takes; `service.guard` refuses it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
HEAD_TIMEOUT_S = 30.0


class LimitedProtocol(HttpToolsProtocol):
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; end the connection where the head has no end."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._give_up()

    def on_message_begin(self) -> None:
        """A request begins, perhaps behind another one on the same connection."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those behind the body (trailers) are nothing that we read, and have no limit of their own."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head_has_come()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_has_come()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _head_has_come(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if not self._head_bytes:
            self.transport.close()  # opened ahead and never used: an answer without a request would confuse its owner
        else:
            self.send_400_response("The request's head is too large or came too slowly.")
