"""How fast one caller may ask: a token bucket for each, in the memory of this process.

A bucket holds as many tokens as come in a second (one at least) and a request takes one. Several API processes count
each for themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from service.problems import TooManyRequestsError

_MOST_BUCKETS = 10_000


class RateLimit:
    """Requests per second and caller; `per_s=None` counts nothing. Belongs to one event loop."""

    def __init__(self, per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # who -> tokens, when they were counted

    def take(self, who: str) -> None:
        """Let one request through. Raises TooManyRequestsError."""
        if self._per_s is None:
            return
        now, size = self._clock(), max(1.0, self._per_s)
        tokens, at = self._buckets.get(who, (size, now))
        tokens = min(size, tokens + (now - at) * self._per_s)
        if tokens < 1:
            self._buckets[who] = (tokens, now)
            raise TooManyRequestsError((1 - tokens) / self._per_s)
        self._buckets[who] = (tokens - 1, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._forget_full(now, size / self._per_s)

    def _forget_full(self, now: float, time_to_fill: float) -> None:
        self._buckets = {who: bucket for who, bucket in self._buckets.items() if now - bucket[1] < time_to_fill}
