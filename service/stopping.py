"""SIGTERM in a job's process: raised as `Cancelled` where the code stands, or left for work that asks by itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ctrfast.errors import Cancelled


class Stop:
    """Whether the worker asked for an end."""

    def __init__(self) -> None:
        self._requested = False
        self._deferred = False

    def listen(self) -> None:
        """Take over SIGTERM."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def requested(self) -> bool:
        """Whether SIGTERM has arrived."""
        return self._requested

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block that asks `requested` by itself, because it has something to save before it ends."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """Raise Cancelled once SIGTERM has arrived."""
        if self._requested:
            raise Cancelled("The job was asked to stop.")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        again, self._requested = self._requested, True
        if not self._deferred and not again:
            raise Cancelled("The job was asked to stop.")
