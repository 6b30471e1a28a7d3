"""A program watched from its start to its end: seconds, processor time, peak memory.

    watched = Watched("polars", [python, "-m", "bench.peers.prepare_polars", ...])
    watched.seconds, watched.cpu_seconds, watched.peak_bytes

Memory is sampled from `/proc`. Of a single process the peak is the system's own count since its program was loaded
(`VmHWM`), so that a peak between two samples is not lost; `ru_maxrss` would also count what the parent held. As soon
as it has children, the proportional sizes of the whole tree (`Pss`: a page that n processes share counts 1/n) are
summed. Without `/proc` the peak is `ru_maxrss`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.turns import SystemFailedError

_INTERVAL_S = 0.02
_TREE_INTERVAL_S = 0.2  # adding up a tree's pages costs it time
_PROC = Path("/proc")


class Watched:
    """A finished run.

    seconds: from the start of the process to its end. cpu_seconds: of all its threads and children.
    peak_bytes: resident. samples: (seconds since the start, resident bytes).

    Raises:
        SystemFailedError: its exit code is not 0; the message holds its last lines.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.samples: list[tuple[float, int]] = []
        self.peak_bytes = 0
        self._ended = threading.Event()
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            self._started = time.perf_counter()
            process = subprocess.Popen(
                command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            sampler = threading.Thread(target=self._sample, args=(process.pid,))
            sampler.start()
            try:
                _, status, usage = os.wait4(process.pid, 0)  # of this child alone, not of all so far
                self.seconds = time.perf_counter() - self._started
            finally:
                self._ended.set()
                sampler.join()
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                log.seek(0)
                lines = log.read().strip().splitlines()[-4:]
                raise SystemFailedError(f"{name} ended (exit code {process.returncode}): " + " | ".join(lines))
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.peak_bytes = self.peak_bytes or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def _sample(self, pid: int) -> None:
        interval = _INTERVAL_S
        while not self._ended.wait(interval):
            try:
                resident, peak = _sizes(pid)
                children = descendants(pid)
                if children:
                    resident = sum(_proportional(member) for member in (pid, *children))
            except (OSError, StopIteration):  # it, or a child, has just ended, or the system has no such files
                continue
            interval = _TREE_INTERVAL_S if children else _INTERVAL_S
            self.samples.append((time.perf_counter() - self._started, resident))
            self.peak_bytes = max(self.peak_bytes, resident, peak)


def tree_bytes(pid: int) -> int:
    """Memory of a process and all that it started, now: their proportional sizes, summed.

    Raises:
        OSError: one of them has just ended.
    """
    return sum(_proportional(member) for member in (pid, *descendants(pid)))


def _sizes(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    return _bytes(lines, "VmRSS:"), _bytes(lines, "VmHWM:")


def _proportional(pid: int) -> int:
    return _bytes((_PROC / str(pid) / "smaps_rollup").read_text().splitlines(), "Pss:")


def _bytes(lines: Sequence[str], label: str) -> int:
    return int(next(line for line in lines if line.startswith(label)).split()[1]) * 1024


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on."""
    found = []
    for listing in (_PROC / str(pid) / "task").glob("*/children"):
        for child in map(int, listing.read_text().split()):
            found += [child, *descendants(child)]
    return found
