"""Work that takes seconds and much memory: this process does one piece at a time, and who waits too long is told so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.problems import NotReadyError

WAIT_S = 3.0  # a waiting request holds a thread that others need
_ASK_AGAIN_S = 5


class OneAtATime:
    """Turns at such work. what: one piece of it, with its article, as `Another data report`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A block that nobody else is in. Raises NotReadyError: somebody was for `WAIT_S`."""
        if not self._lock.acquire(timeout=WAIT_S):
            raise NotReadyError(
                f"{self._what} is being made. Ask again in a few seconds.", headers={"Retry-After": str(_ASK_AGAIN_S)}
            )
        try:
            yield
        finally:
            self._lock.release()
