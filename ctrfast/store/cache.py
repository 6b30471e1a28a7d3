"""A folder of this machine that keeps what was read from the object store, shared by all processes of it.

    with Cache.of_environment().view("7") as folder:         # CACHE/views/<token>/7, gone when the block ends
        cache.place(entry, download, folder / "model.onnx")

A file is named by its sha256 and compared with it each time that it is used; one that was damaged is fetched again. A
view is a folder of hard links to such files, so a file that is given up while it is in use stays until its users have
ended. What was used longest ago goes first once the files are larger than the bound; those in use do not count as
removable. Two processes that want the same file at the same moment may both fetch it.

    CACHE/files/<sha256>       CACHE/views/<token>/<name>/...       CACHE/staging/<address>/<name>/... (`outputs`)

CTRFAST_CACHE is the folder (~/.cache/ctrfast), which must be on one local disk; CTRFAST_CACHE_BYTES the bound (50 GB).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import PARTIAL, file_hash
from ctrfast.storage import storing

CACHE_VARIABLE, BYTES_VARIABLE = "CTRFAST_CACHE", "CTRFAST_CACHE_BYTES"
DEFAULT_BYTES = 50_000_000_000
_STALE_S = 86_400  # a download that nothing was added to for so long was killed
_READ_ONLY = 0o444


@dataclass(frozen=True)
class Entry:
    """A file's size in bytes, and its hash."""

    bytes: int
    sha256: str


class Cache:
    """The folder.

    Args:
        folder: made when it is first needed.
        most_bytes: bound of all files; one artefact that is larger is kept while it is in use.
    """

    def __init__(self, folder: Path, most_bytes: int = DEFAULT_BYTES) -> None:
        self._files, self._views = folder / "files", folder / "views"
        self.staging = folder / "staging"
        self._most_bytes = most_bytes

    @classmethod
    def of_environment(cls) -> Self:
        """The cache that CTRFAST_CACHE and CTRFAST_CACHE_BYTES name. Raises ConfigError."""
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(os.environ.get(CACHE_VARIABLE) or f"{home}/ctrfast").expanduser().absolute()
        given = os.environ.get(BYTES_VARIABLE) or str(DEFAULT_BYTES)
        if not given.isdecimal():
            raise ConfigError(
                f"{BYTES_VARIABLE} must be a number of bytes, as 50000000000. Got {given[:50]!r}. Correct it.",
                path=BYTES_VARIABLE,
            )
        return cls(folder, int(given))

    @contextmanager
    def view(self, name: str) -> Iterator[Path]:
        """An empty folder of this name, to place files in; removed when the block ends. Raises ConfigError."""
        with _usable(self._views), storing(f"The cache {self._views.parent}"):
            place = self._views / secrets.token_hex(8)
            with _locked(self._views / "lock"):  # else a sweep could take a view between its making and its lock
                self._remove_left_views()
                place.mkdir()
                lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT)
                fcntl.flock(lock, fcntl.LOCK_EX)
            (place / name).mkdir()
        try:
            yield place / name
        finally:
            shutil.rmtree(place, ignore_errors=True)
            os.close(lock)

    def place(self, entry: Entry, fetch: Callable[[Path], None], target: Path) -> None:
        """Link a file of the store at `target`.

        Args:
            entry: what it must be.
            fetch: writes it to a path, where the cache does not have it.
            target: in a view.

        Raises:
            ArtifactError: what was fetched is not as `entry` says.
        """
        kept = self._files / entry.sha256
        with suppress(FileNotFoundError):
            os.link(kept, target)
            if target.stat().st_size == entry.bytes and file_hash(target) == entry.sha256:
                with suppress(FileNotFoundError):  # given up by another process since
                    os.utime(kept)
                return
            target.unlink()
            kept.unlink(missing_ok=True)
        self._files.mkdir(parents=True, exist_ok=True)
        partial = self._files / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            fetch(partial)
            if partial.stat().st_size != entry.bytes or file_hash(partial) != entry.sha256:
                raise ArtifactError(
                    f"{target.name} was changed in the store: it has not the sha256 of its manifest. Write it again."
                )
            partial.chmod(_READ_ONLY)
            os.link(partial, target)
            partial.replace(kept)
        finally:
            partial.unlink(missing_ok=True)

    def shrink(self) -> None:
        """Give up files, those that were used longest ago first, until all of them are within the bound."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self._files) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.stat(), entry.name))
        now, total = time.time(), 0
        for stat, name in sorted(found, key=lambda item: -item[0].st_mtime):
            is_partial = name.startswith(PARTIAL)
            total += stat.st_size
            if (is_partial and now - stat.st_mtime > _STALE_S) or (
                not is_partial and total > self._most_bytes and stat.st_nlink == 1
            ):
                (self._files / name).unlink(missing_ok=True)

    def _remove_left_views(self) -> None:
        """Remove views whose process was killed; the caller holds the lock of all views."""
        for place in self._views.iterdir():
            if not place.is_dir():
                continue
            try:
                lock = os.open(place / "lock", os.O_RDWR)
            except FileNotFoundError:  # its process removes it at this moment, or died while it did
                shutil.rmtree(place, ignore_errors=True)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                shutil.rmtree(place, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except PermissionError as error:
        raise ConfigError(
            f"The cache {folder.parent} cannot be written. Set {CACHE_VARIABLE} to a folder that can.",
            path=CACHE_VARIABLE,
        ) from error


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
