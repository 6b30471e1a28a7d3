"""The end of versions: asked for by a caller, or old ones by a rule. The row and its metrics stay.

The row is marked first: from then on no process loads the version. Its folder is renamed, so that it vanishes at once,
and removed; what a process that died has left of it is removed by the next round. In an object store the manifest goes
first.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from ctrfast.errors import StorageError
from ctrfast.store.artefacts import remove
from ctrfast.store.objects import connect
from service.database import Database
from service.places import store_of
from service.pointers import Key, count_change
from service.problems import NotFoundError, VersionInUseError, VersionRemovedError
from service.settings import Settings
from service.tables import AliasRow, ModelRow, VersionRow

log = logging.getLogger("service.api")

_DAY_S = 86_400.0


@dataclass(frozen=True)
class VersionRemoval:
    """Removes versions of any project. clock: seconds since 1970."""

    database: Database
    settings: Settings
    clock: Callable[[], float] = time.time

    def remove(self, project: str, name: str, version: int) -> None:
        """Remove one version.

        Raises:
            NotFoundError: there is no such model or version.
            VersionInUseError: an alias points at it.
            VersionRemovedError: it was removed before.
        """
        with self.database.write() as session:
            if session.get(ModelRow, (project, name), with_for_update=True) is None:
                raise NotFoundError("model", name)
            row = session.get(VersionRow, (project, name, version))
            if row is None:
                raise NotFoundError("version", version, of=f"model {name!r}")
            if row.removed_at is not None:
                raise VersionRemovedError(name, version)
            of = (AliasRow.project == project, AliasRow.name == name, AliasRow.version == version)
            holders = session.scalars(select(AliasRow.alias).where(*of)).all()
            if holders:
                raise VersionInUseError(name, version, holders)
            row.removed_at = self.clock()
            sha256 = row.sha256
            session.flush()
            count_change(session)
        self._remove_files((project, name, version), sha256)

    def remove_old(self) -> int:
        """Remove versions beyond `keep_versions`, and what is left of folders; returns how many it gave up.

        Never one behind an alias, nor one younger than `keep_versions_days`.
        """
        given_up = 0
        if self.settings.keep_versions is not None:
            for project, name, version in self._old(self.settings.keep_versions):
                try:
                    self.remove(project, name, version)
                except (VersionInUseError, VersionRemovedError):  # since we looked; another round asks again
                    continue
                log.info("version %d of the model %r was removed: it is old", version, name)
                given_up += 1
        with self.database.read() as session:
            gone = session.execute(
                select(VersionRow.project, VersionRow.name, VersionRow.version, VersionRow.sha256).where(
                    VersionRow.removed_at.is_not(None)
                )
            ).all()
        left = self._in_store()
        for project, name, version, sha256 in gone:
            if left is None or f"{project}/{name}/{sha256}" in left:
                self._remove_files((project, name, version), sha256)
        return given_up

    def _old(self, keep: int) -> list[Key]:
        born_before = self.clock() - self.settings.keep_versions_days * _DAY_S
        by_model: dict[tuple[str, str], list[VersionRow]] = defaultdict(list)
        with self.database.read() as session:
            held = {(row.project, row.name, row.version) for row in session.scalars(select(AliasRow))}
            query = select(VersionRow).where(VersionRow.removed_at.is_(None)).order_by(VersionRow.version.desc())
            for row in session.scalars(query):
                by_model[row.project, row.name].append(row)
        rows = [row for newest_first in by_model.values() for row in newest_first[keep:]]
        keys = [(row.project, row.name, row.version) for row in rows if row.created_at < born_before]
        return [key for key in keys if key not in held]

    def _in_store(self) -> set[str] | None:
        """Bundles of which something is in the store, as PROJECT/NAME/sha256; None where all lies in HOME."""
        store = store_of(self.settings)
        if store is None:
            return None
        return {"/".join(name.split("/")[:3]) for name in connect().sizes(store.models)}

    def _remove_files(self, key: Key, sha256: str) -> None:
        store = store_of(self.settings)
        if store is None:
            self._remove_folder(key)
            return
        project, name, _ = key
        of = (VersionRow.project == project, VersionRow.name == name, VersionRow.sha256 == sha256)
        with self.database.read() as session:
            if session.scalar(select(func.count()).where(*of, VersionRow.removed_at.is_(None))):
                return  # another version has the same content
        try:
            remove(store.bundles(project, name) / sha256)
        except StorageError as error:  # the row is marked: nobody loads it, and the next round removes the rest
            log.warning("files of a removed version are still in the store: %s", error.message)

    def _remove_folder(self, key: Key) -> None:
        folder = self.settings.model_folder(*key)
        gone = folder.with_name(f".removed-{folder.name}")
        try:
            if folder.exists():
                folder.replace(gone)
            if gone.exists():
                shutil.rmtree(gone)
        except FileNotFoundError:
            pass  # another process removes it too; what both leave, the next round removes
