"""A folder for unfinished work beside its result, which one process at a time uses and the next one goes on with.

with WorkFolder(out, "prepare") as work:
part = work.part("parsed", [file.name, file.stat().st_size, ...])   # kept while it was made from the same
...
work.deliver(dataset)                                               # renamed to `out`; the rest is removed
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ctrfast.errors import ConfigError, CtrFastError, DamagedFileError, StorageError
from ctrfast.file_lock import take
from ctrfast.folders import refuse_existing, remove_partials, sync, sync_tree
from ctrfast.storage import is_full

_BOOT = Path("/proc/sys/kernel/random/boot_id")
KEEPING: tuple[type[CtrFastError], ...] = (DamagedFileError, StorageError)


class WorkFolder:
    """The folder.

    A kill, Ctrl-C and the errors of `keeping` leave it to go on from; all other errors of ctrfast remove it. What was
    half written when a process was killed is removed when the next one begins.

    Args:
        out: the result that is being made; must not exist.
        what: the kind of work, part of the folder's name.
        keeping: errors after which it stays; a full disk and a damaged file unless others are given. None: nobody can
            go on with it, and it stays after a kill alone.

    Raises:
        ConfigError: another process is at work on the same result, or its parent cannot be written.
    """

    def __init__(self, out: Path, what: str, *, keeping: tuple[type[CtrFastError], ...] | None = KEEPING) -> None:
        self._out = out
        self._keeping = keeping
        self.path = out.absolute().parent / f".{out.name}.{what}"  # absolute: other processes may work in it
        self._lock = -1

    def __enter__(self) -> Self:
        refuse_existing(self._out)
        try:
            lock = take(self.path / "lock")
        except OSError as error:
            if is_full(error):
                raise
            raise ConfigError(f"The folder {self._out.parent} cannot be written: {error.strerror}.") from error
        if lock is None:
            raise ConfigError(f"Another process is making {self._out}. Wait for it, or choose another name.")
        self._lock = lock
        try:
            refuse_existing(self._out)
            for folder, _, _ in os.walk(self.path):
                remove_partials(Path(folder))
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        keeping = self._keeping
        if error is None or keeping is None or (isinstance(error, CtrFastError) and not isinstance(error, keeping)):
            self.remove()
        os.close(self._lock)

    def part(self, name: str, made_from: Any) -> Path:
        """A folder for a part of the work. One that was made from something else is emptied first.

        Args:
            name: of the part.
            made_from: JSON-like; all that its content depends on. A restart of the machine counts as a change, since
                what was written shortly before a power cut may not be on the disk.
        """
        boot = _BOOT.read_text() if _BOOT.is_file() else ""
        digest = hashlib.sha256(json.dumps([made_from, boot], sort_keys=True).encode()).hexdigest()[:16]
        for other in self.path.glob(f"{name}-*"):
            if other.name != f"{name}-{digest}":
                shutil.rmtree(other)
        part = self.path / f"{name}-{digest}"
        part.mkdir(exist_ok=True)
        return part

    def deliver(self, result: Path) -> None:
        """Put what is finished, a file or a folder in this one, in its place.

        Raises:
            ConfigError: the place was taken meanwhile.
        """
        sync_tree(result)
        refuse_existing(self._out)  # a rename would replace a file
        try:
            result.replace(self._out)
        except OSError as error:
            if not self._out.exists():
                raise
            raise ConfigError(f"{self._out} was written by somebody else meanwhile. Choose another name.") from error
        sync(self._out.parent)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)
