"""A server of the tests' own that takes webhooks and answers as it is told."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Told:
    path: str
    headers: Message
    body: bytes


class Receiver:
    """Serves on loopback inside a `with` block, over TLS where a context is given.

    answers: a status for each request in turn, `silence` or `endless`; 200 once there are none left.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.told: list[Told] = []
        self.answers: list[int | str] = []
        self._end = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.told.append(Told(self.path, self.headers, body))
                receiver._answer(self)

            def do_GET(self) -> None:
                receiver.told.append(Told(self.path, self.headers, b""))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "silence":
            self._end.wait(60)
            return
        request.send_response(answer if isinstance(answer, int) else 200)
        request.send_header("Location", "/elsewhere")
        request.end_headers()
        try:
            while answer == "endless" and not self._end.is_set():
                request.wfile.write(b"x" * 65536)
        except OSError:
            pass  # it hung up, as it should
