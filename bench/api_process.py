"""An API process of a bench's own, and connections to it.

    with ApiProcess(environment) as api:
        connection = Connection(api.address, key)
        seconds, status, body = connection.ask("GET", "/v1/jobs")

The process is watched through `/proc`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

_PROGRAM = "import service.cli; service.cli.main()"


class ApiProcess:
    """`ctrfast-service api` on a free port of the loopback, until the end of the block."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "api", "--port", "0"],
            env={**os.environ, "CTRFAST_LOG_LEVEL": "WARNING", **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is None:
            raise RuntimeError("the API has no standard output")
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The API did not start (exit code {self._process.wait()}).")
        self.address = line.split()[-1]
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                connection = Connection(self.address)
                status = connection.ask("GET", "/healthz")[1]
                connection.close()
                if status == http.HTTPStatus.OK:
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("The API did not answer within 60 s.")

    def rss(self) -> int:
        """Resident bytes now."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024

    def cpu_s(self) -> float:
        """Processor time so far, of all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if code != 0:
            raise SystemExit(f"The API ended with code {code}.")


class Connection:
    """One connection that is kept; an answer that says `Connection: close` opens it anew."""

    def __init__(self, address: str, key: str | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=120)
        self._headers = {"X-API-Key": key} if key else {}

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[float, int, bytes]:
        """Seconds until the whole answer was there, its status and its body."""
        data = None if body is None else json.dumps(body)
        started = time.perf_counter()
        self._connection.request(method, path, body=data, headers={**self._headers, **(headers or {})})
        answer = self._connection.getresponse()
        content = answer.read()
        return time.perf_counter() - started, answer.status, content

    def good(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """Seconds and JSON of an answer that must be good."""
        seconds, status, content = self.ask(method, path, body, headers)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise SystemExit(f"{method} {path} was answered {status}: {content[:500].decode(errors='replace')}")
        return seconds, json.loads(content)

    def close(self) -> None:
        """Close it."""
        self._connection.close()
