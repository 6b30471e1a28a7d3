"""A backup of the service while it runs: the database, and the artefacts that it names, as a folder or a tar file.

    manifest.json                        what is in it, with the sha256 of every other file; written last
    ctrfast.db                           SQLite: a copy of one moment. PostgreSQL is saved by `pg_dump`, before this
    models/ datasets/ projects/ jobs/    as they lie under HOME

The database goes first. A version or a dataset that it names is whole by then and never changes, since its folder is
put in place before the transaction that names it ends: both fit together, whatever jobs end meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ctrfast._version import VERSION
from ctrfast.errors import ArtifactError
from ctrfast.folders import (
    MANIFEST,
    PARTIAL,
    file_hash,
    new_file,
    new_folder,
    read_manifest,
    refuse_existing,
    seal,
    verify_files,
    write_file,
)
from service.assignments import BUNDLE, DATASET
from service.database import HEAD, Database
from service.seals import open_registered, require_bundle
from service.settings import Settings
from service.states import LEASED, State
from service.tables import DatasetRow, Job, VersionRow

KIND, FORMAT = "backup", 1
TOP = "ctrfast-backup"  # the one folder in a tar file
DATABASE_FILE = "ctrfast.db"
_OF_ONE_ATTEMPT = {"lock", BUNDLE, DATASET}  # in a job's folder: made anew, or delivered to where we save it from


@dataclass(frozen=True)
class Extent:
    """What is saved beyond the database, the models and the manifests of prepared datasets.

    datasets: all files of the datasets that the service prepared. runs: folders of jobs, with checkpoints, logs and
    outputs.
    """

    datasets: bool = False
    runs: bool = False


@dataclass
class Saved:
    """What a backup holds, counted. left_out: what could not be saved, each with its reason."""

    with_database: bool = False
    versions: int = 0
    datasets: int = 0
    jobs: int = 0
    left_out: list[str] = field(default_factory=list)


def back_up(settings: Settings, out: Path, extent: Extent) -> Saved:
    """Write a backup to `out`: a tar file if its name ends in `.tar`, else a folder. It holds hashes of API keys.

    Raises:
        ConfigError: `out` exists, or cannot be written.
        OSError: the disk takes no more; nothing is left at `out`.
    """
    if out.suffix != ".tar":
        with new_folder(out) as folder:
            return _fill(settings, folder, extent)
    refuse_existing(out)
    with new_file(out) as partial, tempfile.TemporaryDirectory(prefix=PARTIAL, dir=out.parent) as scratch:
        partial.chmod(0o600)
        folder = Path(scratch) / TOP
        folder.mkdir()
        saved = _fill(settings, folder, extent)
        with tarfile.open(partial, "w") as tar:
            tar.add(folder, arcname=TOP)
    return saved


def _fill(settings: Settings, folder: Path, extent: Extent) -> Saved:
    folder.chmod(0o700)
    saved = Saved()
    live = Database(settings.url)
    try:
        if live.is_sqlite:
            saved.with_database = True
            _copy_database(live, folder / DATABASE_FILE)
            copy = Database(f"sqlite:///{folder / DATABASE_FILE}")
            try:
                versions, datasets, jobs = _named_in(copy)
            finally:
                copy.dispose()
        else:
            versions, datasets, jobs = _named_in(live)
    finally:
        live.dispose()
    if settings.artifacts is not None:
        saved.left_out.append(f"models and datasets: they lie in {settings.artifacts}, which keeps its own backups.")
        versions = ()
    for version in versions:
        _save_version(settings, folder, version, saved)
    for dataset in datasets:
        _save_dataset(settings, folder, dataset, extent, saved)
    for job_id, state in jobs if extent.runs else ():
        _save_job(settings, folder, job_id, State(state), saved)
    _write_manifest(settings, folder, saved)
    return saved


def _copy_database(live: Database, target: Path) -> None:
    """All pages of one moment. Writers need not wait: in WAL mode a reader keeps what it began with."""
    target.touch(mode=0o600)
    with closing(live.engine.raw_connection()) as source, closing(sqlite3.connect(target)) as copy:
        connection: Any = source.driver_connection
        connection.backup(copy)
        if (found := copy.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise ArtifactError(f"The database is damaged: {found}. Keep the backups that you have.")


def _named_in(database: Database) -> tuple[Sequence[VersionRow], Sequence[DatasetRow], Sequence[tuple[str, str]]]:
    with database.read() as session:
        jobs = [(job_id, state) for job_id, state in session.execute(select(Job.id, Job.state).order_by(Job.id))]
        versions = session.scalars(select(VersionRow).where(VersionRow.removed_at.is_(None))).all()
        return versions, session.scalars(select(DatasetRow)).all(), jobs


def _save_version(settings: Settings, folder: Path, row: VersionRow, saved: Saved) -> None:
    source = settings.model_folder(row.project, row.name, row.version)
    place = source.relative_to(settings.home_dir)
    try:
        require_bundle(source, row.sha256)
        verify_files(source, read_manifest(source, BUNDLE))
    except ArtifactError as error:
        saved.left_out.append(f"{place}: {error.message}")
        return
    shutil.copytree(source, folder / place)
    saved.versions += 1


def _save_dataset(settings: Settings, folder: Path, row: DatasetRow, extent: Extent, saved: Saved) -> None:
    source = Path(row.path)
    if source != settings.dataset_folder(row.project, row.name):
        return  # it lies where its owner prepared it
    place = source.relative_to(settings.home_dir)
    try:
        open_registered(source, row.hash, verify=extent.datasets)
    except ArtifactError as error:
        saved.left_out.append(f"{place}: {error.message}")
        return
    if extent.datasets:
        shutil.copytree(source, folder / place)
    else:
        (folder / place).mkdir(parents=True)
        shutil.copy2(source / MANIFEST, folder / place / MANIFEST)
    saved.datasets += 1


def _save_job(settings: Settings, folder: Path, job_id: str, state: State, saved: Saved) -> None:
    source = settings.job_folder(job_id)
    if not source.is_dir():
        return
    with _kept_idle(source) as is_idle:
        if state in LEASED or not is_idle:
            saved.left_out.append(f"jobs/{job_id}: the job is at work.")
            return
        shutil.copytree(source, folder / "jobs" / job_id, ignore=lambda at, names: _passed_by(Path(at), source, names))
    saved.jobs += 1


@contextmanager
def _kept_idle(source: Path) -> Iterator[bool]:
    """Keep an attempt from beginning in a job's folder (`service.runner`); False where one has begun already."""
    with (source / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _passed_by(at: Path, source: Path, names: Sequence[str]) -> set[str]:
    unfinished = {name for name in names if name.startswith(PARTIAL)}
    return unfinished | _OF_ONE_ATTEMPT if at == source else unfinished


def _write_manifest(settings: Settings, folder: Path, saved: Saved) -> None:
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "ctrfast": VERSION,
        "created_at": time.time(),
        "with_database": saved.with_database,
        "revision": HEAD,
        "home": os.fspath(settings.home_dir),
        "files": files,
    }
    write_file(folder / MANIFEST, json.dumps({**manifest, "seal": seal(manifest)}, indent=1))
