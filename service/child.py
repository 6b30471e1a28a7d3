"""A job's process, as its worker sees it: start, hear, keep alive, stop, kill.

The child leads a session of its own, so a kill reaches all that it started. Its standard output and error go straight
to the job's log file: nothing is lost when worker or child dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.assignments import Assignment

_READ_BYTES = 1 << 16
_MAX_LINE_BYTES = 1 << 20


class Child:
    """One running attempt.

    Args:
        command: the program; the number of the message pipe is added as its last argument.
        assignment: what to do.
        log: file that the child's output is added to.
    """

    def __init__(self, command: Sequence[str], assignment: Assignment, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._messages, theirs = os.pipe()
        try:
            with log.open("ab") as output:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                output.write(f"--- attempt {assignment.attempt}, {stamp}\n".encode())
                output.flush()
                self._process = subprocess.Popen(
                    [*command, str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._messages)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(self._messages, False)
        self._rest = b""
        self._open = True
        self.pid = self._process.pid
        self._write(assignment.model_dump_json().encode() + b"\n")
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)  # a child that does not read must not stop its worker

    def keep_alive(self) -> None:
        """Tell the child that its lease was renewed."""
        self._write(b"\n")

    def read(self, timeout_s: float) -> list[dict[str, Any]]:
        """Messages that have arrived, waiting for the first at most `timeout_s`."""
        if not self._open:
            time.sleep(min(timeout_s, 0.05))
            return []
        select.select([self._messages], [], [], timeout_s)
        return self._read_chunk() or []

    def drain(self) -> list[dict[str, Any]]:
        """All messages of a child that has ended."""
        messages: list[dict[str, Any]] = []
        while self._open and (more := self._read_chunk()) is not None:
            messages += more
        return messages

    def _read_chunk(self) -> list[dict[str, Any]] | None:
        """Whole messages of the next chunk; None where nothing is there now."""
        try:
            chunk = os.read(self._messages, _READ_BYTES)
        except BlockingIOError:
            return None
        if not chunk:
            self._open = False
            os.close(self._messages)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            self._rest = b""
        return [message for line in lines if (message := _parse(line)) is not None]

    def has_ended(self) -> bool:
        """Whether the process is gone. It stays a zombie until `close`, so its group can still be named."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def terminate(self) -> None:
        """Ask the child to save its work and end."""
        self._signal(signal.SIGTERM, group=False)

    def kill(self) -> None:
        """End the child and all that it started."""
        self._signal(signal.SIGKILL, group=True)

    def close(self) -> int:
        """End what is left and return the exit code; negative is the number of the signal that ended it."""
        self.kill()
        code = self._process.wait()
        if self._open:
            self._open = False
            os.close(self._messages)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died with our last words unread
                self._process.stdin.close()
        return code

    def _signal(self, number: int, *, group: bool) -> None:
        if self._process.returncode is not None:
            return
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # all of them are gone already

    def _write(self, data: bytes) -> None:
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (BrokenPipeError, BlockingIOError):
            pass  # a dead child is noticed by `has_ended`, a stuck one by its own watch


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
