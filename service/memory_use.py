"""Memory of a process and of all that it started."""

from __future__ import annotations

import psutil


def rss_of_family(pid: int | None = None) -> int:
    """Resident bytes of a process and its descendants; of this one without `pid`. Shared pages count each time."""
    parent = psutil.Process(pid)
    return sum(_rss(process) for process in [parent, *parent.children(recursive=True)])


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:  # it ended meanwhile
        return 0
