"""Datasets, runs, checkpoints and bundles in an object store: whole or absent, like the folders that they were.

    publish(folder, Address.parse("s3://models/ctr"))
    with opened(Address.parse("s3://models/ctr")) as folder:      # its files, each compared with its hash
        Bundle.open(folder)

    PREFIX/sha256/<hash>       each file, named by what it holds
    PREFIX/manifest.json       written last, and only where there is none: with it the artefact is there
    PREFIX/unfinished.json     the same of a run that is being made; the next checkpoint replaces it

A prefix without `manifest.json` is no artefact: what a killed publication left there is taken up by the next one of the
same content, and removed by the first one that succeeds. Two publishers cannot mix, since their files have other names:
one finds the other's manifest and is refused. Of the same content, both have published it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import MANIFEST, file_hash, kind_of, new_folder, seal
from ctrfast.storage import storing
from ctrfast.store.address import Address
from ctrfast.store.cache import Cache, Entry
from ctrfast.store.objects import Objects, connect

UNFINISHED = "unfinished.json"
_KIND, _FORMAT = "stored", 1
_FILES = "sha256"
_AT_ONCE = 8  # transfers

Wanted = Callable[[str], bool]


class _FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    format: int
    artefact: str
    files: dict[str, _FileEntry]
    seal: str


@dataclass(frozen=True)
class Stored:
    """An artefact in the store. kind: `dataset`, `run`, `bundle` ... files: by name in its folder."""

    address: Address
    kind: str
    files: Mapping[str, Entry]
    seal: str


def find(address: Address, manifest: str = MANIFEST) -> Stored | None:
    """The artefact at an address, or None.

    Raises:
        ArtifactError: what is there was changed, or a newer ctrfast wrote it.
        ConfigError, StoreUnavailableError: as `ctrfast.store.objects` says.
    """
    data = connect().read(address / manifest)
    return None if data is None else _parse(address, data)


def refuse_taken(address: Address) -> None:
    """Raise ConfigError where there is an artefact."""
    if connect().read(address / MANIFEST) is not None:
        raise _taken(address)


def publish(folder: Path, address: Address, kind: str | None = None) -> None:
    """Copy a finished folder to the store, where it appears when it is whole.

    Args:
        folder: what to publish; names that begin with a `.` are left out.
        address: where.
        kind: what it is, for a folder whose manifest says no such thing.

    Raises:
        ArtifactError: the folder says not what it is.
        ConfigError: another artefact is there already, or the store refuses.
        StoreUnavailableError: the store does not answer; the next call goes on with the files that are not there yet.
    """
    objects = connect()
    content = _describe(folder, kind)
    refused = objects.read(address / MANIFEST)
    if refused is None:
        _upload(objects, folder, address, content)
        if not objects.write(address / MANIFEST, _to_json(content), new=True):
            refused = objects.read(address / MANIFEST) or b""
    if refused is not None and (not refused or _parse(address, refused).seal != content["seal"]):
        raise _taken(address)
    _tidy(objects, address, content)
    objects.remove(address / UNFINISHED)


def publish_unfinished(folder: Path, address: Address) -> None:
    """Copy what a run has come to, in place of what was there of it. One process at a time may do it.

    Raises:
        ConfigError: the finished run is there already, or the store refuses.
        StoreUnavailableError: the store does not answer; what was there before is as it was.
    """
    objects = connect()
    refuse_taken(address)
    content = _describe(folder)
    before = find(address, UNFINISHED)
    _upload(objects, folder, address, content)
    objects.write(address / UNFINISHED, _to_json(content), new=False)
    if before is not None and (left := _hashes(before.files) - _named(content)):  # older checkpoints
        objects.remove(address / _FILES, sorted(left))


@contextmanager
def opened(address: Address, wanted: Wanted = lambda _: True, name: str | None = None) -> Iterator[Path]:
    """A folder of this machine with an artefact's files, to read and not to write; gone when the block ends.

    Args:
        address: of the artefact.
        wanted: the names of the files that are needed.
        name: of the folder; the address's last part unless given.

    Raises:
        ArtifactError: there is none, or it was changed.
        ConfigError, StoreUnavailableError: as `ctrfast.store.objects` says.
    """
    stored = find(address)
    if stored is None:
        raise ArtifactError(f"There is no artefact at {address}: it has no {MANIFEST}. Correct the address.")
    cache = Cache.of_environment()
    with cache.view(name or address.name) as folder:
        _fetch(connect(), cache, stored, folder, wanted)
        yield folder


def copy_to(stored: Stored, out: Path) -> None:
    """Write an artefact's files to a new folder of this machine, to keep or go on with.

    Raises:
        ArtifactError: it was changed.
        ConfigError: `out` exists, or the store refuses. StoreUnavailableError: the store does not answer.
    """
    cache = Cache.of_environment()
    with new_folder(out) as folder, cache.view(out.name) as view:
        _fetch(connect(), cache, stored, view, lambda _: True)
        for name in stored.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(view / name, folder / name)  # not a link: a run's files are written to


def remove(address: Address) -> None:
    """Remove an artefact: first its manifest, so that nobody sees a part."""
    objects = connect()
    objects.remove(address, [MANIFEST, UNFINISHED])
    objects.remove(address, [f"{_FILES}/{name}" for name in objects.sizes(address / _FILES)])


def _describe(folder: Path, kind: str | None = None) -> dict[str, Any]:
    kind = kind or kind_of(folder)
    if kind is None:
        raise ArtifactError(f"{folder} must be a dataset, run or bundle. It has no {MANIFEST} that says so.")
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    }
    content = {"kind": _KIND, "format": _FORMAT, "artefact": kind, "files": files}
    return {**content, "seal": seal(content)}


def _to_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()


def _parse(address: Address, data: bytes) -> Stored:
    try:
        content = json.loads(data)
        manifest = _Manifest.model_validate(content)
    except (ValueError, RecursionError, ValidationError) as error:
        raise ArtifactError(
            f"The {MANIFEST} of {address} is not one that ctrfast publishes. Publish it anew."
        ) from error
    if manifest.format != _FORMAT or manifest.kind != _KIND:
        raise ArtifactError(
            f"The artefact {address} must have format {_FORMAT}. Got {manifest.format}. Update ctrfast."
        )
    if manifest.seal != seal(content) or not all(_is_inside(name) for name in manifest.files):
        raise ArtifactError(f"The {MANIFEST} of {address} was edited: its seal is broken. Publish it anew.")
    files = {name: Entry(entry.bytes, entry.sha256) for name, entry in manifest.files.items()}
    return Stored(address, manifest.artefact, files, manifest.seal)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def _upload(objects: Objects, folder: Path, address: Address, content: Mapping[str, Any]) -> None:
    """Copy the files that are not there yet."""
    there = objects.sizes(address / _FILES)
    sources = {entry["sha256"]: (folder / name, entry["bytes"]) for name, entry in content["files"].items()}

    def upload(sha256: str) -> None:
        file, size = sources[sha256]
        if there.get(sha256) != size:
            objects.upload(file, address / _FILES / sha256)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(upload, sources):
            pass  # raises the first error


def _fetch(objects: Objects, cache: Cache, stored: Stored, folder: Path, wanted: Wanted) -> None:
    def fetch(name: str) -> None:
        entry = stored.files[name]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)

        def download(file: Path) -> None:
            if not objects.download(stored.address / _FILES / entry.sha256, file):
                raise ArtifactError(f"{stored.address} is incomplete: the file {name} is missing. Publish it anew.")

        cache.place(entry, download, folder / name)

    names = [name for name in stored.files if wanted(name)]
    with storing(f"The copy of {stored.address}"):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(fetch, names):
                pass  # raises the first error
        cache.shrink()


def _tidy(objects: Objects, address: Address, content: Mapping[str, Any]) -> None:
    """Remove files that the manifest does not name: of killed or refused publications, and older checkpoints."""
    if left := objects.sizes(address / _FILES).keys() - _named(content):
        objects.remove(address / _FILES, sorted(left))


def _named(content: Mapping[str, Any]) -> set[str]:
    return {entry["sha256"] for entry in content["files"].values()}


def _hashes(files: Mapping[str, Entry]) -> set[str]:
    return {entry.sha256 for entry in files.values()}


def _taken(address: Address) -> ConfigError:
    return ConfigError(f"{address} exists already. Choose another address, or remove it.")
