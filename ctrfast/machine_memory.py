"""Memory that this process can have: what the machine has, or what a container's limit leaves, if that is less.

available_memory()      # bytes

Limits are those of Linux control groups, version 2 and 1; a group's file cache can be given back and is free.
"""

from __future__ import annotations

from pathlib import Path

import psutil

# Name of the limit, of the use, and in `memory.stat` of the cached files.
_VERSION_2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))

_OUT_OF_MEMORY = {"ResourceExhaustedError", "ArrowMemoryError"}  # of TensorFlow and arrow, which need not be loaded


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory, whichever library raised it."""
    return isinstance(error, MemoryError) or type(error).__name__ in _OUT_OF_MEMORY


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can have, with those that it has, before the system swaps or ends it.

    Args:
        root: where `proc` and `sys` are.
    """
    left = min([int(psutil.virtual_memory().available), *_left_by_limits(root)])
    return left + int(psutil.Process().memory_info().rss)


def _left_by_limits(root: Path) -> list[int]:
    """Bytes that each control group above this process leaves; nothing where there are none."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    mount, left = root / "sys/fs/cgroup", []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = (mount / "memory", _VERSION_1) if controllers else (mount, _VERSION_2)
        # A container may see its own group as the top, under a name that holds outside alone: so all levels are asked.
        group = top / name.lstrip("/")
        levels = [level for level in (group, *group.parents) if level == top or top in level.parents]
        left += [bytes_ for level in levels if (bytes_ := _left(level, names)) is not None]
    return left


def _left(group: Path, names: tuple[str, str, tuple[str, ...]]) -> int | None:
    limit_file, use_file, caches = names
    try:
        limit = (group / limit_file).read_text().strip()
        if limit == "max":
            return None
        used = int((group / use_file).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return max(int(limit) - used + sum(int(stat.get(cache, 0)) for cache in caches), 0)
