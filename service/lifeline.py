"""Processes that must not outlive the one that started them.

Two means, because each alone has a gap: Linux sends a signal to the children of a process that dies (it reaches the
direct child alone), and a pipe from the parent ends when the parent does (it works everywhere, and ends the whole
process group).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have Linux send a signal when the parent dies; end now if it already has. Elsewhere this does nothing.

    The parent must have started this process from its main thread: the signal follows that thread.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal_number)


def end_own_group() -> None:
    """End this process and all that it started, at once."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class LeaseWatch(threading.Thread):
    """Ends the process group when the worker dies, or is silent for as long as its lease.

    A worker that stands still loses its job to another; its child must then not go on writing to the job's folder. Each
    renewed lease arrives as one line on the pipe.
    """

    def __init__(self, pipe: int, lease_s: float) -> None:
        super().__init__(name="lease-watch", daemon=True)
        self._pipe = pipe
        self._lease_s = lease_s

    def run(self) -> None:
        """Wait for lines until there are none."""
        deadline = time.monotonic() + self._lease_s
        while True:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready or not os.read(self._pipe, 4096):
                end_own_group()
            deadline = time.monotonic() + self._lease_s
