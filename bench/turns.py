"""Systems timed in turns: one process each, which builds and warms up, then waits until it is asked for a few steps.

The driver asks the systems round after round, so that a noisy minute of the machine meets all of them; meanwhile the
others sleep. Needs no package, so that it also runs in the peers' environment.

    with System("torch", [python, "-m", "bench.peers.torch_fused", ...]) as system:      # the driver
        system.take(steps=16).seconds                                                    # per step

    with answering() as turns:                                                           # the program that it starts
        step = build()                                                                   # may print
        turns.serve(step)
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

WARM_UP_STEPS = 3
_START_TIMEOUT_S = 1800  # compiling, on a slow machine
_TURN_TIMEOUT_S = 600
_EXIT_TIMEOUT_S = 5


class SystemFailedError(Exception):
    """A system's process ended or did not answer; the message names it and holds its last lines."""


@dataclass(frozen=True)
class Turn:
    """Time of a step, mean over the steps of a turn. cpu_seconds: of all threads, also while they wait by spinning."""

    seconds: float
    cpu_seconds: float


class System:
    """A program under measurement, seen from the driver. As a context it is ended on leaving."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed by __exit__)
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        self.facts = self._answer(_START_TIMEOUT_S)
        self.peak_rss_bytes = 0
        self.peak_device_bytes: int | None = None

    def take(self, steps: int) -> Turn:
        """Have it take so many steps.

        Raises:
            SystemFailedError: the process died or hangs.
        """
        try:
            print(steps, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure("ended") from None
        answer = self._answer(_TURN_TIMEOUT_S)
        self.peak_rss_bytes = answer["peak_rss_bytes"]
        self.peak_device_bytes = answer["peak_device_bytes"]
        return Turn(answer["seconds"] / steps, answer["cpu_seconds"] / steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            stream.close()

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            is_ready = selector.select(timeout_s)
        line = self._process.stdout.readline() if is_ready else ""
        if not line:
            raise self._failure("ended" if is_ready else f"gave no answer in {timeout_s} s")
        return json.loads(line)

    def _failure(self, what: str) -> SystemFailedError:
        try:
            code = self._process.wait(_EXIT_TIMEOUT_S)  # its answers have ended: it is about to end by itself
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()[-4:]
        self.__exit__()
        return SystemFailedError(f"{self.name} {what} (exit code {code}): " + " | ".join(lines))


class Turns:
    """The program's side of the conversation."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def serve(
        self,
        step: Callable[[], object],
        facts: dict[str, Any] | None = None,
        *,
        finish: Callable[[], object] = lambda: None,
        peak_device_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Warm up, say so with some facts, then take steps when asked, until the driver is gone.

        Args:
            step: takes a step, or hands it to a device and goes on.
            facts: about the program.
            finish: waits until the device has taken all steps.
            peak_device_bytes: the most memory of the device that was in use.
        """
        for _ in range(WARM_UP_STEPS):
            step()
        finish()
        self._say(facts or {})
        for line in sys.stdin:
            started, cpu_started = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                step()
            finish()
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
            memory = {"peak_rss_bytes": peak_rss_bytes(), "peak_device_bytes": peak_device_bytes()}
            self._say({"seconds": seconds, "cpu_seconds": cpu_seconds, **memory})

    def _say(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._out, flush=True)


@contextmanager
def answering() -> Iterator[Turns]:
    """Keep standard output for the answers: whatever a library prints goes to standard error."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        yield Turns(out)


def in_turns(systems: Sequence[System], rounds: int, steps: int) -> tuple[dict[str, list[Turn]], list[str]]:
    """The turns of each system, round by round, and what failed; a system that failed is left out."""
    turns: dict[str, list[Turn]] = {system.name: [] for system in systems}
    failures: dict[str, str] = {}
    for _ in range(rounds):
        for system in systems:
            if system.name in failures:
                continue
            try:
                turns[system.name].append(system.take(steps))
            except SystemFailedError as error:
                failures[system.name] = str(error)
    return {name: taken for name, taken in turns.items() if name not in failures}, list(failures.values())


def peak_rss_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # since exec, unlike getrusage, which may count the parent's
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024
