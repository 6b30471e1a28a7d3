"""Raw inputs: files, folders, patterns and object-store addresses -> the files that they name, ready to be read.

    for source in find_sources(["logs/day_*.tsv.gz", Path("more"), "s3://bucket/clicks"]):
        source.name, source.size
        stream = source.open_stream()

A folder stands for the files that lie in it, in the order of their names; those that begin with `.` or `_` and folders
below it are left out. A pattern (`*`, `?`, `[...]`) is sorted as well. A `Path` is never a pattern: it comes from code,
or from a request whose path was checked. Addresses go through `pyarrow.fs`; in them `?` begins the options, as in
`s3://bucket/clicks?region=eu-west-1`, and credentials and options never show in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs

from ctrfast.errors import DataError
from ctrfast.folders import MANIFEST

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^?]*)(\?.*)?", re.DOTALL).fullmatch
_BUFFER_BYTES = 8 * 2**20  # per request to an object store
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """A raw file. name: its last part. shown: for messages. size: bytes as stored.

    identity: JSON-like; changes whenever the content may have changed. place: path, in `filesystem` where that is set.
    """

    name: str
    shown: str
    size: int
    identity: tuple[str, int, int]
    place: str
    filesystem: Any = None

    def __str__(self) -> str:
        return self.shown

    def open_stream(self) -> Any:
        """Its bytes as they are stored, as a file to be read once, which can `tell` how far it is. Raises OSError."""
        if self.filesystem is None:
            return pa.OSFile(self.place, "rb")
        return _Counted(self.filesystem.open_input_stream(self.place, compression=None, buffer_size=_BUFFER_BYTES))

    def open_random(self) -> Any:
        """The same, to be read at any place. Raises OSError."""
        return pa.OSFile(self.place, "rb") if self.filesystem is None else self.filesystem.open_input_file(self.place)

    @classmethod
    def of(cls, path: Path) -> Source:
        """A file of this machine. Raises DataError."""
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise DataError(f"There is no file at {path}: it {what}. Name raw click-log files.")
        stat = path.stat()
        identity = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        return cls(path.name, str(path), stat.st_size, identity, str(path))


class _Counted:
    """A stream that cannot seek, and so cannot tell: counts what was read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def read(self, size: int) -> bytes:
        block: bytes = self._stream.read(size)
        self._read += len(block)
        return block

    def tell(self) -> int:
        return self._read

    def close(self) -> None:
        self._stream.close()


def find_sources(given: Sequence[Path | str]) -> list[Source]:
    """The files that inputs name, in their order.

    Raises:
        DataError: an input names no file, or an object store cannot be reached.
    """
    found: list[Source] = []
    for one in given:
        if isinstance(one, str) and is_address(one):
            found += _of_address(one)
        else:
            found += [Source.of(path) for path in local_files(one)]
    if not found:
        raise DataError("There must be at least one raw file. Got none. Name raw click-log files.")
    return found


def is_address(given: str) -> bool:
    """Whether a text is the address of an object store or another file system, as in `s3://bucket/clicks.tsv`."""
    return _ADDRESS(given) is not None


def is_pattern(given: str) -> bool:
    """Whether a text holds a wildcard."""
    return _MAGIC.search(given) is not None


def local_files(given: Path | str) -> list[Path]:
    """The files of this machine that a path, or a text that may be a pattern, names.

    Raises:
        DataError: a folder holds no file, or none fits the pattern.
    """
    path = Path(given)
    if path.is_dir():
        files = [path / name for name in _wanted(entry.name for entry in path.iterdir() if entry.is_file())]
        if not files:
            raise _empty(str(path))
        return files
    if isinstance(given, Path) or path.exists() or not is_pattern(given):
        return [path]
    fixed = next(place for place, part in enumerate(path.parts) if is_pattern(part))
    base = Path(*path.parts[:fixed])
    matches = sorted(base.glob(str(Path(*path.parts[fixed:]))))
    found = [match for match in matches if match.is_file() and _all_wanted(match.relative_to(base).parts)]
    if not found:
        raise _no_match(given)
    return found


def dataset_folder(inputs: Sequence[Path | str]) -> Path | None:
    """The folder with a manifest that is all that was named; None where the inputs are raw files."""
    if len(inputs) != 1 or is_address(str(inputs[0])):
        return None
    path = Path(inputs[0])
    return path if (path / MANIFEST).is_file() else None


def _wanted(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith((".", "_")))


def _all_wanted(names: Sequence[str]) -> bool:
    return len(_wanted(names)) == len(names)


def _empty(shown: str) -> DataError:
    return DataError(f"The folder {shown} must hold raw files. Got none; names in . and _ do not count.")


def _no_match(shown: str) -> DataError:
    return DataError(f"A pattern must fit at least one file. Got none for {shown}. Check the folder and the pattern.")


def _of_address(address: str) -> list[Source]:
    shown, scheme, rest, options = _taken_apart(address)
    parts = rest.split("/")
    fixed = next((index for index, part in enumerate(parts) if index and _MAGIC.search(part)), len(parts))
    pattern = parts[fixed:]
    base = f"{scheme}://{quote('/'.join(parts[:fixed]), safe='/:@%~+,=&$!')}{options}"
    try:
        filesystem, place = pa.fs.FileSystem.from_uri(base)
    except (pa.ArrowException, OSError, ValueError):  # arrow repeats the address, and with it the credentials
        raise DataError(
            f"{shown} must be an address that can be read, as s3://bucket/clicks.tsv. Correct it."
        ) from None
    try:
        infos = _files_at(filesystem, place, pattern)
    except OSError as error:
        reason = _without_secrets(str(error), rest)
        raise DataError(f"{shown} cannot be reached: {reason} Check address, network and credentials.") from None
    if infos is None:
        raise DataError(f"There is no file at {shown}: it does not exist. Name raw click-log files.")
    if not infos:
        raise _no_match(shown) if pattern else _empty(shown)
    return [_source_of(info, filesystem, f"{shown.partition('://')[0]}://", options) for info in infos]


def _taken_apart(address: str) -> tuple[str, str, str, str]:
    """(what may be shown, scheme, the rest, options)."""
    match = _ADDRESS(address)
    if match is None:
        raise DataError("An input must be a file, a folder, a pattern or an address. Correct it.")
    scheme, rest, options = match[1], match[2], match[3] or ""
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = host.rpartition("@")[2]
    elif ":" in host:  # a secret with a slash that was not quoted: all up to the last @ may be part of it
        host, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host}{slash}{path}", scheme, rest, options


def _without_secrets(reason: str, rest: str) -> str:
    secret = rest.rpartition("@")[0]
    for part in (secret, *secret.split(":", 1)):
        reason = reason.replace(part, "***") if part else reason
    return f"{reason.splitlines()[0].rstrip('.')}." if reason else "unknown."


def _files_at(filesystem: Any, place: str, pattern: list[str]) -> list[Any] | None:
    """Entries of the files, sorted; None where there is nothing at all."""
    if not pattern:
        info = filesystem.get_file_info(place)
        if info.type == pa.fs.FileType.NotFound:
            return None
        if info.type == pa.fs.FileType.File:
            return [info]
    select = pa.fs.FileSelector(place, recursive=len(pattern) > 1, allow_not_found=True)
    files = (info for info in filesystem.get_file_info(select) if info.type == pa.fs.FileType.File)
    found = ((info.path.removeprefix(place).strip("/").split("/"), info) for info in files)
    chosen = (info for names, info in found if _all_wanted(names) and (not pattern or _fits(names, pattern)))
    return sorted(chosen, key=lambda info: info.path)


def _fits(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _source_of(info: Any, filesystem: Any, scheme: str, options: str) -> Source:
    shown = f"{scheme}{info.path}"
    changed = info.mtime_ns if info.mtime_ns is not None else -1
    identity = (f"{shown}{options}", info.size, changed)
    return Source(info.base_name, shown, info.size, identity, info.path, filesystem)
