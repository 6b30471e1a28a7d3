"""One point from the outside: its process is started, heard, asked to stop, and seen to its end.

A crash of the process, or its end for want of memory, ends the point and not the sweep.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ctrfast.exit_codes import signal_name

COMMAND = (sys.executable, "-m", "ctrfast.sweep.point")
CRASHED = "crashed"
_LOOK_S = 0.2
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Ending:
    """How a point's process ended.

    reason: a code of `ctrfast.errors`, `out_of_memory`, `internal` or `crashed`. metrics: of one that was pruned.
    """

    state: Literal["succeeded", "pruned", "failed", "stopped"]
    reason: str | None = None
    message: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def run_process(
    request: Mapping[str, Any],
    log: Path,
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
    *,
    keep_open: int,
    command: Sequence[str] = COMMAND,
) -> Ending:
    """Run one point to its end.

    Args:
        request: what `ctrfast.sweep.point` reads.
        log: the process's output is added to it.
        on_progress: called with the share of the run that is done.
        should_stop: asked several times a second; once true, the process saves a checkpoint and ends.
        keep_open: a file that stays open as long as the process lives.
        command: the program.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            pass_fds=(keep_open,),
            start_new_session=True,  # Ctrl-C is for the sweep, which then asks the point to stop
        )
    try:
        last_word = _accompany(process, request, on_progress, should_stop)
    finally:
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # it died before it had read all
                    pipe.close()
    match last_word.get("type"):
        case "done":
            return Ending("succeeded")
        case "stopped":
            return Ending("stopped")
        case "pruned":
            return Ending("pruned", message=str(last_word["message"]), metrics=last_word["metrics"])
        case "failed":
            return Ending("failed", str(last_word["reason"]), str(last_word["message"]))
        case _:
            return Ending("failed", CRASHED, _death(code))


def _accompany(
    process: subprocess.Popen[bytes],
    request: Mapping[str, Any],
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """The last message, empty where the process died without one."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    with suppress(BrokenPipeError):  # a process that is dead already: its output ends at once
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    channel, rest = process.stdout.fileno(), b""
    last_word: dict[str, Any] = {}
    is_told = False
    while True:
        if not is_told and should_stop():
            is_told = True
            last_word = {"type": "stopped"}  # also of a process that is not yet ready to hear it
            process.send_signal(signal.SIGTERM)
        if not select.select([channel], [], [], _LOOK_S)[0]:
            continue
        chunk = os.read(channel, _CHUNK)
        if not chunk:
            process.wait()
            return last_word
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["type"] == "progress":
                on_progress(message["fraction"])
            else:
                last_word = message


def _death(code: int) -> str:
    name = signal_name(code)
    if name is None:
        return f"The run's process ended with code {code} before it was done. The point's log may tell more."
    hint = " The system does that where memory runs out." if name == "SIGKILL" else ""
    return f"The run's process was ended by {name}.{hint}"
