"""A server under measurement: a process of its own, asked until it answers, ended with all that it started.

port = free_port()
with Server("bare ASGI route", [python, "-m", "bench.peers.serve_asgi", ...], Probe(f"http://127.0.0.1:{port}/")) as it:
    it.memory_bytes()
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import httpx
import psutil

from bench.turns import SystemFailedError
from bench.watched import descendants, tree_bytes

_START_TIMEOUT_S = 120
_END_TIMEOUT_S = 15
_PAUSE_S = 0.1
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Probe:
    """A request that a server answers with 200 as soon as it is ready. body: posted; without one it is a GET."""

    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self) -> httpx.Response:
        """Send it. Raises httpx.TransportError."""
        if self.body is None:
            return httpx.get(self.url, headers=self.headers)
        headers = {"Content-Type": "application/json", **self.headers}
        return httpx.post(self.url, content=self.body, headers=headers, timeout=30)


class Server:
    """A running server; a context, which ends it on leaving. answer: to the probe.

    Raises:
        SystemFailedError: it ended, or did not answer with 200 in time; the message holds its last lines.
    """

    def __init__(
        self, name: str, command: Sequence[str], probe: Probe, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  (closed by end)
        started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self.answer = self._wait_until_ready(probe, started + _START_TIMEOUT_S)
        except BaseException:
            self.end()
            raise

    def memory_bytes(self) -> int:
        """Proportional sizes (Pss) of the process and all that it started, now.

        Raises:
            SystemFailedError: it has ended.
        """
        for _ in range(5):
            with suppress(OSError):  # a child ended meanwhile, or all did
                return tree_bytes(self._process.pid)
            time.sleep(_PAUSE_S)
        raise self._failure("cannot be looked at")

    def resident_bytes(self) -> int:
        """The same with shared pages counted in full (RSS): it does not change with what others share."""
        process = psutil.Process(self._process.pid)
        return sum(member.memory_info().rss for member in (process, *process.children(recursive=True)))

    def end(self) -> None:
        """End it, and whatever of its children is left then."""
        children = descendants(self._process.pid) if self._process.poll() is None else []
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)
        self._process.kill()
        self._process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _wait_until_ready(self, probe: Probe, deadline: float) -> httpx.Response:
        said = "did not answer"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure("ended")
            try:
                answer = probe.ask()
            except httpx.TransportError:
                time.sleep(_PAUSE_S)
                continue
            if answer.status_code == httpx.codes.OK:
                return answer
            if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:  # others may mean that it is not ready yet
                raise self._failure(f"answered 500: {answer.text[:200]}")
            said = f"answered {answer.status_code}: {answer.text[:200]}"
            time.sleep(_PAUSE_S)
        raise self._failure(f"{said} within {_START_TIMEOUT_S} s")

    def _failure(self, what: str) -> SystemFailedError:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()[-4:]
        return SystemFailedError(f"{self.name} {what}: " + " | ".join(lines))


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
