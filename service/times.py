"""Times in answers: UTC text of seconds since 1970."""

from __future__ import annotations

import datetime
from functools import lru_cache

_KEPT = 4096  # times that are asked for again: pages look at the same jobs every few seconds


@lru_cache(_KEPT)
def iso_time(seconds: float) -> str:
    """Seconds since 1970 as UTC text."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_time_or_none(seconds: float | None) -> str | None:
    """The same for what may not have happened."""
    return None if seconds is None else iso_time(seconds)
