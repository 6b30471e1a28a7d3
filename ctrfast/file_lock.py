"""Files that one process at a time holds; a process that ends, however it does, holds none.

    with run_lock(Path("runs/first")) as lock:
        lock.take()
        ...

The file is made where it is not there, and removed by who held it. Differs from `flock` alone: a file that was removed
while one waited for it is not taken for the one that is there now.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ctrfast.errors import ConfigError, StorageError
from ctrfast.storage import is_full

_LOOK_S = 0.1


def take(path: Path) -> int | None:
    """Lock a file, made with its folder where it is not there.

    Returns: its descriptor, to be closed; None while somebody else holds it.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        if _is_at(lock, path):
            return lock
        os.close(lock)  # its last user has removed it meanwhile


class FileLock:
    """A file that is held from `take` to the end of the block.

    Args:
        path: the file.
        problem: the message while another process holds it.
        patience_s: how long `take` waits for that one.
    """

    def __init__(self, path: Path, problem: str, *, patience_s: float = 0.0) -> None:
        self._path, self._problem, self._patience_s = path, problem, patience_s
        self._lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def take(self) -> None:
        """Hold it.

        Raises:
            ConfigError: another process holds it, or its folder cannot be written.
            StorageError: the disk takes no more.
        """
        deadline = time.monotonic() + self._patience_s
        while self._lock is None:
            try:
                self._lock = take(self._path)
            except OSError as error:
                kind = StorageError if is_full(error) else ConfigError
                raise kind(f"The folder {self._path.parent} cannot be written: {error.strerror}.") from error
            if self._lock is None:
                if time.monotonic() >= deadline:
                    raise ConfigError(self._problem)
                time.sleep(_LOOK_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def run_lock(out: Path, what: str = "train", *, patience_s: float = 0.0) -> FileLock:
    """What a process that trains into a run's folder holds: a file beside it, whatever name it is called by."""
    folder = out.resolve()
    problem = f"Another process is training into {out}. Wait for it, or choose another name."
    return FileLock(folder.parent / f".{folder.name}.{what}", problem, patience_s=patience_s)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
