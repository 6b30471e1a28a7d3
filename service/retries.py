"""What failed, and when it may be tried again: a wait that doubles with each failure in a row.

A version that cannot be loaded is read in full to find that out; without a memory each look at the aliases, and each
request, would read it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(frozen=True)
class _Failure:
    detail: str
    wait_s: float
    until: float


class Retries(Generic[K]):
    """Failures by key.

    Args:
        first_s: seconds to wait after a key's first failure.
        most_s: longest wait.
        clock: monotonic seconds.
    """

    def __init__(self, first_s: float, most_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._clock = clock
        self._failures: dict[K, _Failure] = {}

    def waiting(self, key: K) -> str | None:
        """Why the key failed, while it must not be tried again; else None."""
        failure = self._failures.get(key)
        return failure.detail if failure is not None and self._clock() < failure.until else None

    def last(self, key: K) -> str | None:
        """Why the key failed when it was last tried; None where it works, or was not tried. Any thread may ask."""
        failure = self._failures.get(key)
        return None if failure is None else failure.detail

    def wait_s(self, key: K) -> float:
        """Seconds until the key may be tried again."""
        failure = self._failures.get(key)
        return 0.0 if failure is None else max(0.0, failure.until - self._clock())

    def failed(self, key: K, detail: str) -> float:
        """Remember a failure. Returns: the seconds to wait."""
        before = self._failures.get(key)
        wait_s = self._first_s if before is None else min(2 * before.wait_s, self._most_s)
        self._failures[key] = _Failure(detail, wait_s, self._clock() + wait_s)
        return wait_s

    def forget(self, key: K) -> None:
        """The key works, or somebody wants it tried at once."""
        self._failures.pop(key, None)
