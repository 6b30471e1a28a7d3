"""Whether a file is still the one that was read: its place on the disk, its size, and when it was last changed."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]


def file_stamp(path: Path) -> Stamp:
    """What differs once the file is written again or another takes its name; a key for what was read from it.

    Take it before reading: what is changed meanwhile is then read again, never kept as old content.

    Returns: inode, bytes, nanoseconds of the last change.

    Raises:
        OSError: there is no such file.
    """
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
