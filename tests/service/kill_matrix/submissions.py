"""Many submissions at once, so that a kill finds requests on their way. Each is sent until it is answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tests.service.kill_matrix.fleet import Fleet, wait_until

_THREADS = 4
_BEFORE, _AFTER = 6, 6  # answers before the kill, and new submissions after it
_LAST = -100  # priority: the job that counts goes first


class Burst:
    """Threads that submit filler jobs under new keys, until told to end."""

    def __init__(self, fleet: Fleet, name: str, spec: Mapping[str, Any]) -> None:
        self._fleet = fleet
        self._name = name
        self._spec = spec
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._number = 0
        self._on_their_way = 0
        self._errors: list[Exception] = []
        self.answered: dict[str, str] = {}
        self._threads = [threading.Thread(target=self._submit) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return while some were answered and others are on their way."""
        wait_until(lambda: len(self.answered) >= _BEFORE and self._on_their_way > 0, "the submissions", 240, 0.0005)

    def end(self) -> dict[str, str]:
        """Some more submissions, then the end; returns the job of each key. Raises what a submission raised."""
        goal = len(self.answered) + _AFTER
        try:
            wait_until(lambda: len(self.answered) >= goal or self._errors, "the submissions after the kill", 240)
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()
        if self._errors:
            raise self._errors[0]
        return self.answered

    def _submit(self) -> None:
        while not self._end.is_set():
            with self._lock:
                self._number += 1
                key = f"{self._name}-filler-{self._number}"
                self._on_their_way += 1
            try:
                job = self._fleet.client.submit("train", self._spec, priority=_LAST, idempotency_key=key)
            except Exception as error:  # told by `end`
                self._errors.append(error)
                return
            with self._lock:
                self._on_their_way -= 1
                self.answered[key] = job.id
