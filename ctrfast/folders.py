"""Folders that are whole or absent: written under a temporary name, hashed, renamed last.

A folder that ctrfast writes holds a `manifest.json` with the sha256 of each file. `new_folder` gives a place to write
in and puts it in place at the end; `verify_files` refuses a folder in which a byte was changed.

    with new_folder(out) as folder:
        (folder / "weights.bin").write_bytes(...)
        write_manifest(folder, {"format": 1})
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ctrfast.errors import ArtifactError, ConfigError, CtrFastError, StorageError
from ctrfast.storage import is_full

MANIFEST = "manifest.json"
PARTIAL = ".partial-"

_is_durable: ContextVar[bool] = ContextVar("is_durable", default=False)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, renamed to `out` when the block ends, removed when it raises.

    Raises:
        ConfigError: `out` exists and is not an empty folder, or its parent cannot be written.
        StorageError: the disk has no room for another folder.
    """
    refuse_existing(out)
    partial = out.parent / f"{PARTIAL}{out.name}-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(out.parent, error) from error
    try:
        yield partial
        sync_tree(partial)
        try:
            partial.replace(out)
        except OSError as error:
            if is_full(error):
                raise
            raise ConfigError(f"{out} was written by somebody else meanwhile. Choose another name.") from error
        sync(out.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def refuse_existing(out: Path) -> None:
    """Raise ConfigError where `out` exists and is anything but an empty folder."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists already. Choose another name, or remove it.")


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """A temporary file beside `out`, renamed to `out` when the block ends, removed when it raises.

    Raises:
        ConfigError: the folder of `out` cannot be written.
        StorageError: the disk has no room for another file.
    """
    partial = out.parent / f"{PARTIAL}{out.name}-{secrets.token_hex(4)}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise _unwritable(out.parent, error) from error
    try:
        yield partial
        sync(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """As `new_file`, in a folder that is there, for work that is no result yet: `durable` alone waits for the disk."""
    partial = out.parent / f"{PARTIAL}{out.name}-{secrets.token_hex(4)}"
    try:
        yield partial
        if _is_durable.get():
            sync(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def durable() -> Iterator[None]:
    """Have `whole_file` wait for the disk: this machine may be lost, and others go on with what it finished."""
    before = _is_durable.set(True)
    try:
        yield
    finally:
        _is_durable.reset(before)


def remove_partials(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder that nobody else writes to now."""
    for partial in folder.glob(f"{PARTIAL}*"):
        with suppress(FileNotFoundError):  # a task of the killed process may still have finished it
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a file at once: a reader sees the old or the new content, never a part."""
    with new_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `manifest.json` last, with size and sha256 of every other file under `files`, sealed (see `seal`)."""
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    # Through JSON and back first: the seal must be that of what a reader will see (lists, not tuples).
    readable = json.loads(json.dumps({**content, "files": files}))
    write_file(folder / MANIFEST, json.dumps({**readable, "seal": seal(readable)}, indent=1))


def seal(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest's content without its own `seal`: tells an edited manifest, and names the content."""
    content = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder.

    Args:
        folder: where it should be.
        kind: what the folder should be, for the message: "dataset", "bundle" ...

    Raises:
        ArtifactError: there is no such folder, it has no readable manifest of this kind, or the manifest was edited.
    """
    if not folder.is_dir():
        raise ArtifactError(f"There is no {kind} at {folder}.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} is not a {kind}: it has no {MANIFEST}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"The {MANIFEST} of {folder} cannot be read. Write the {kind} again.") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != kind or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"{folder} is not a {kind}: its {MANIFEST} says otherwise.")
    if manifest.get("seal") != seal(manifest):
        raise ArtifactError(f"The {MANIFEST} of {folder} was edited: its seal is broken. Write the {kind} again.")
    return manifest


def kind_of(folder: Path) -> str | None:
    """What a folder says it is: `dataset`, `run`, `bundle` ...; None where nothing is said. Proves nothing."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    return kind if isinstance(kind, str) else None


def verify_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare each file of a folder with its manifest.

    Raises:
        ArtifactError: a file is missing or its sha256 differs; the message names it.
    """
    what = f"The {manifest['kind']} {folder.name}" if "kind" in manifest else folder.name
    for name, entry in manifest["files"].items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{what} names a file outside itself: {name}. Do not use it.")
        if not file.is_file():
            raise ArtifactError(f"{what} is incomplete: {name} is missing. Write it again.")
        if file_hash(file) != entry["sha256"]:
            raise ArtifactError(f"{what} was changed: the sha256 of {name} is not the manifest's. Write it again.")


def file_hash(path: Path) -> str:
    """sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """`sync` all files of a folder, and the lists of names that lead to them."""
    for part in [*folder.rglob("*"), folder]:
        sync(part)


def _unwritable(folder: Path, error: OSError) -> CtrFastError:
    kind = StorageError if is_full(error) else ConfigError
    return kind(f"The folder {folder} cannot be written: {error.strerror}.")
