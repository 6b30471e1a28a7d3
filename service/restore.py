"""Putting a backup back, while no service runs.

It is unpacked beside its place, compared with its manifest and brought to this version's tables; once all of it is good
it is moved in, the database last. What was there before is put aside, never removed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, select

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import MANIFEST, PARTIAL, read_manifest, verify_files
from service.backup import DATABASE_FILE, FORMAT, KIND, TOP
from service.database import HEAD, Database
from service.settings import Settings
from service.tables import DatasetRow

_PARTS = ("models", "datasets", "projects", "jobs")
_SIDE_FILES = ("", "-wal", "-shm")  # of a SQLite database


def restore(settings: Settings, backup: Path, *, replace: bool = False) -> Path | None:
    """Fill HOME from a backup.

    Args:
        settings: where HOME and the database are.
        backup: a folder or tar file of `back_up`.
        replace: put what HOME holds aside first; else nothing may be there.

    Returns: the folder with what was there before, if anything was.

    Raises:
        ArtifactError: it is no backup, or not as it was written; nothing has changed.
        ConfigError: HOME holds something, the backup does not fit the settings, or a service is running.
    """
    home, database_file = settings.home_dir, _database_file(settings)
    taken = [part for part in [*(home / name for name in _PARTS), *_files_of(database_file)] if _holds_something(part)]
    if taken and not replace:
        names = ", ".join(sorted(part.name for part in taken))
        raise ConfigError(
            f"{home} holds {names}. Restore into an empty CTRFAST_HOME, or put that aside with --replace."
        )
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{PARTIAL}restore-", dir=home) as scratch:
        folder = Path(scratch) / TOP
        _unpack(backup, folder)
        manifest = _checked(folder, database_file)
        if database_file is not None:
            _make_current(folder / DATABASE_FILE, str(manifest["home"]), str(home))
            _require_unused(database_file)
        aside = _put_aside(home, taken)
        for name in _PARTS:
            if (folder / name).is_dir():
                if (home / name).is_dir():
                    shutil.rmtree(home / name)  # it holds no file
                (folder / name).replace(home / name)
        if database_file is not None:
            database_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder / DATABASE_FILE, database_file)
    settings.make_folders()
    return aside


def _database_file(settings: Settings) -> Path | None:
    url = make_url(settings.url)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def _files_of(database_file: Path | None) -> list[Path]:
    if database_file is None:
        return []
    return [database_file.with_name(database_file.name + end) for end in _SIDE_FILES]


def _holds_something(part: Path) -> bool:
    return part.is_file() or any(not inner.is_dir() for inner in part.rglob("*"))


def _unpack(backup: Path, folder: Path) -> None:
    if backup.is_dir():
        shutil.copytree(backup, folder)
        return
    try:
        with tarfile.open(backup, "r:") as tar:
            tar.extractall(folder.parent, filter="data")
    except FileNotFoundError as error:
        raise ArtifactError(f"There is no backup at {backup}.") from error
    except tarfile.TarError as error:
        raise ArtifactError(f"{backup} is no tar file of a backup, or not all of one: {error}.") from error


def _checked(folder: Path, database_file: Path | None) -> Mapping[str, Any]:
    manifest = read_manifest(folder, KIND)
    if manifest["format"] != FORMAT or manifest["revision"] > HEAD:
        raise ArtifactError(
            f"The backup was made by ctrfast {manifest['ctrfast']}. Restore it with that or a newer one."
        )
    if manifest["with_database"] != (database_file is not None):
        raise ConfigError(
            "The backup holds a SQLite database. Restore it without CTRFAST_DATABASE_URL."
            if manifest["with_database"]
            else "The backup was made beside PostgreSQL. Set CTRFAST_DATABASE_URL, and restore `pg_dump`'s file there."
        )
    verify_files(folder, manifest)
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}
    if extra := sorted(found - set(manifest["files"]) - {MANIFEST}):
        raise ArtifactError(f"The backup holds a file that its manifest does not name: {extra[0]}. Do not use it.")
    return manifest


def _make_current(file: Path, old_home: str, new_home: str) -> None:
    """Bring the tables to this version, and datasets that lay under the old HOME under the new one."""
    database = Database(f"sqlite:///{file}")
    try:
        database.migrate()
        with database.write() as session:
            for row in session.scalars(select(DatasetRow)):
                if Path(row.path).is_relative_to(old_home):
                    row.path = str(Path(new_home) / Path(row.path).relative_to(old_home))
    finally:
        database.dispose()


def _require_unused(database_file: Path) -> None:
    """Raise ConfigError while a process has the database open: it would go on writing to the one put aside."""
    if not database_file.is_file():
        return
    connection = sqlite3.connect(database_file, timeout=1)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")  # refused while somebody else has the file open
    except sqlite3.OperationalError as error:
        raise ConfigError("The database is in use. Stop the service, then restore.") from error
    except sqlite3.DatabaseError:
        pass  # it is damaged: a reason to restore
    finally:
        connection.close()


def _put_aside(home: Path, taken: list[Path]) -> Path | None:
    left = [part for part in taken if part.exists()]
    if not left:
        return None
    aside = home / f"replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside.mkdir()
    for part in left:
        shutil.move(part, aside / part.name)
    return aside
