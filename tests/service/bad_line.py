"""A line to a service that breaks: connections whose answers are cut, in a given order."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class BadLine:
    """Forwards connections to a port.

    Args:
        port: of the service.
        cuts: bytes of the answer that pass before each connection breaks, in order; later ones hold. With 0 the
            service has answered, and the caller does not learn it.
    """

    def __init__(self, port: int, cuts: Iterator[int]) -> None:
        self._port = port
        self._cuts = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            service = socket.create_connection(("127.0.0.1", self._port))
            cut = next(self._cuts, None)
            threading.Thread(target=_pass_on, args=(caller, service, None), daemon=True).start()
            threading.Thread(target=_pass_on, args=(service, caller, cut), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, cut: int | None) -> None:
    left = cut
    with contextlib.suppress(OSError):  # the other direction has closed both
        while data := source.recv(65536):
            target.sendall(data if left is None else data[:left])
            if left is not None:
                left -= len(data)
                if left <= 0:
                    break
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
