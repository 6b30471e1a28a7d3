"""The model registry: immutable versions 1, 2, ... of a name, and aliases that move between them.

A version's row, the alias `latest` and the end of its job are one transaction, which checks the fencing token and puts
the verified folder in place: a reader sees all of a version or nothing, and a worker that lost its lease publishes
nothing. A version that its gates refused (`service.gates`) is stored and leaves `latest` where it is.

Each writer holds its model's row, and counts what API processes must notice last (`service.pointers`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ctrfast.folders import MANIFEST, file_hash
from ctrfast.store.artefacts import find, publish
from service.database import Database
from service.folders import put_in_place
from service.places import Place, folder_of, store_of
from service.pointers import count_change
from service.problems import (
    AliasMovedError,
    BadValueError,
    GatesRefusedError,
    NotFoundError,
    VersionRemovedError,
)
from service.projects import DEFAULT_PROJECT
from service.settings import Settings
from service.tables import AliasMove, AliasRow, ModelRow, VersionRow

LATEST = "latest"


@dataclass(frozen=True)
class Model:
    """A name with its versions, oldest first, and its aliases.

    on_disk: versions whose folder is there; in an object store, those that were not removed.
    """

    name: str
    versions: Sequence[VersionRow]
    aliases: Mapping[str, int]
    on_disk: frozenset[int]


class Registry:
    """Models of one project, by name."""

    def __init__(self, database: Database, settings: Settings, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self._settings = settings
        self._project = project

    def of(self, project: str) -> Registry:
        """The models of another project."""
        return Registry(self._database, self._settings, project)

    def publish(
        self,
        session: Session,
        name: str,
        bundle: Path,
        job_id: str,
        metrics: Mapping[str, Any],
        verdict: Mapping[str, Any] | None = None,
    ) -> int:
        """Put a verified bundle in place as the next version and point `latest` at it, in the caller's transaction.

        Args:
            session: the transaction.
            name: of the model.
            bundle: the folder.
            job_id: of the train job.
            metrics: of its run.
            verdict: of the gates; `latest` stays where it is if they refused the version.

        Returns: the version's number.
        """
        now = time.time()
        self.hold(session, name)
        model = session.get_one(ModelRow, (self._project, name))
        model.last_version += 1
        version = model.last_version
        row = VersionRow(
            project=self._project,
            name=name,
            version=version,
            sha256=file_hash(bundle / MANIFEST),
            metrics=dict(metrics),
            verdict=None if verdict is None else dict(verdict),
            job_id=job_id,
            created_at=now,
        )
        session.add(row)
        session.flush()
        place = self.place(name, row)
        if isinstance(place, Path):
            put_in_place(bundle, place)
        else:
            if find(place) is None:  # the job's process has published it, as a rule
                publish(bundle, place)
            shutil.rmtree(bundle)
        if not is_refused(row):
            self._point(session, name, LATEST, version, job_id=job_id)
        return version

    def hold(self, session: Session, name: str) -> int | None:
        """Make the model's row if it is not there, hold it for writing, and tell the version behind `latest`."""
        first = {"project": self._project, "name": name, "last_version": 0, "created_at": time.time()}
        session.execute(_insert_unless_there(session.get_bind().dialect, first))
        session.get_one(ModelRow, (self._project, name), with_for_update=True)
        return self._behind(session, name, LATEST)

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        caller: str = "",
        force: bool = False,
        expected: Container[int | None] | None = None,
    ) -> int:
        """Point an alias at a version, atomically.

        Args:
            name: of the model.
            alias: any; it is made if it is not there.
            version: of the model.
            caller: id of the key that asks for it.
            force: put `latest` also on a version that its gates refused.
            expected: what must hold the id of the alias's newest move; without, the alias may be anywhere.

        Returns: the id of the alias's newest move.

        Raises:
            NotFoundError: there is no such model.
            BadValueError: it has no such version.
            VersionRemovedError, GatesRefusedError, AliasMovedError: see above.
        """
        with self._database.write() as session:
            if session.get(ModelRow, (self._project, name), with_for_update=True) is None:
                raise NotFoundError("model", name, self._names(session))
            row = session.get(VersionRow, (self._project, name, version))
            if row is None:
                raise BadValueError(f"The model {name!r} has no version {version}.", path="version")
            if row.removed_at is not None:
                raise VersionRemovedError(name, version)
            if alias == LATEST and is_refused(row) and not force:
                raise GatesRefusedError(name, version)
            newest = session.scalar(select(func.max(AliasMove.id)).where(*self._of_alias(AliasMove, name, alias)))
            if expected is not None and newest not in expected:
                raise AliasMovedError(alias, self._behind(session, name, alias))
            if newest is not None and self._behind(session, name, alias) == version:
                return newest
            return self._point(session, name, alias, version, caller=caller)

    def history(self, name: str, alias: str, most: int) -> Sequence[AliasMove]:
        """Moves of an alias, newest first. Raises NotFoundError."""
        with self._database.read() as session:
            if session.get(ModelRow, (self._project, name)) is None:
                raise NotFoundError("model", name, self._names(session))
            of = self._of_alias(AliasMove, name, alias)
            moves = session.scalars(select(AliasMove).where(*of).order_by(AliasMove.id.desc()).limit(most)).all()
        if not moves:
            raise NotFoundError("alias", alias, of=f"model {name!r}")
        return moves

    def version_behind(self, name: str, alias: str) -> int:
        """Where an alias points. Raises NotFoundError."""
        return self.history(name, alias, 1)[0].to_version

    def champion(self, name: str) -> VersionRow | None:
        """The version behind `latest`, if there is one."""
        with self._database.read() as session:
            version = self._behind(session, name, LATEST)
            return None if version is None else session.get_one(VersionRow, (self._project, name, version))

    def get(self, name: str) -> Model:
        """One model. Raises NotFoundError."""
        with self._database.read() as session:
            models = self._models(session, name)
            if not models:
                raise NotFoundError("model", name, self._names(session))
        return models[0]

    def get_version(self, name: str, version: int) -> VersionRow:
        """One version. Raises NotFoundError."""
        with self._database.read() as session:
            row = session.get(VersionRow, (self._project, name, version))
            if row is None and session.get(ModelRow, (self._project, name)) is None:
                raise NotFoundError("model", name, self._names(session))
        if row is None:
            raise NotFoundError("version", version, of=f"model {name!r}")
        return row

    def live_version(self, name: str, version: int) -> VersionRow:
        """One version whose folder is there. Raises NotFoundError, VersionRemovedError."""
        row = self.get_version(name, version)
        if row.removed_at is not None:
            raise VersionRemovedError(name, version)
        return row

    def all(self) -> Sequence[Model]:
        """All models, by name."""
        with self._database.read() as session:
            return self._models(session, None)

    def names(self) -> Sequence[str]:
        """All names."""
        with self._database.read() as session:
            return self._names(session)

    def folder(self, name: str, version: int) -> Path:
        """Where a version's bundle lies, if that is in HOME."""
        return self._settings.model_folder(self._project, name, version)

    def place(self, name: str, row: VersionRow) -> Place:
        """Where a version's bundle lies."""
        store = store_of(self._settings)
        if store is None:
            return self.folder(name, row.version)
        return store.bundles(self._project, name) / row.sha256

    @contextmanager
    def opened(
        self, name: str, version: int, wanted: Callable[[str], bool] = lambda _: True
    ) -> Iterator[tuple[Path, VersionRow]]:
        """A folder with a version's `wanted` files, and its row.

        Raises:
            NotFoundError, VersionRemovedError: as `live_version`.
            ArtifactError, ConfigError, StoreUnavailableError: as `folder_of`.
        """
        row = self.live_version(name, version)
        with folder_of(self.place(name, row), wanted, str(version)) as folder:
            yield folder, row

    def _point(
        self, session: Session, name: str, alias: str, version: int, *, caller: str = "", job_id: str | None = None
    ) -> int:
        """Move an alias and note the move; the caller holds the model's row. Returns the move's id."""
        now = time.time()
        move = AliasMove(
            project=self._project,
            name=name,
            alias=alias,
            from_version=self._behind(session, name, alias),
            to_version=version,
            caller=caller,
            job_id=job_id,
            at=now,
        )
        session.add(move)
        session.merge(AliasRow(project=self._project, name=name, alias=alias, version=version, updated_at=now))
        session.flush()
        count_change(session)
        return move.id

    def _behind(self, session: Session, name: str, alias: str) -> int | None:
        return session.scalar(select(AliasRow.version).where(*self._of_alias(AliasRow, name, alias)))

    def _of_alias(self, table: type[AliasRow] | type[AliasMove], name: str, alias: str) -> tuple[Any, ...]:
        return (table.project == self._project, table.name == name, table.alias == alias)

    def _models(self, session: Session, name: str | None) -> list[Model]:
        by_name, pointers = self._versions(session, name), self._aliases(session, name)
        return [Model(known, rows, pointers.get(known, {}), self._on_disk(rows)) for known, rows in by_name.items()]

    def _on_disk(self, rows: Sequence[VersionRow]) -> frozenset[int]:
        held = [row for row in rows if row.removed_at is None]
        places = {row.version: self.place(row.name, row) for row in held}
        return frozenset(
            version for version, place in places.items() if not isinstance(place, Path) or (place / MANIFEST).is_file()
        )

    def _names(self, session: Session) -> Sequence[str]:
        query = select(ModelRow.name).where(ModelRow.project == self._project)
        return session.scalars(query.order_by(ModelRow.name)).all()

    def _versions(self, session: Session, name: str | None) -> dict[str, list[VersionRow]]:
        query = select(VersionRow).where(VersionRow.project == self._project)
        query = query.order_by(VersionRow.name, VersionRow.version)
        found: dict[str, list[VersionRow]] = {}
        for row in session.scalars(query if name is None else query.where(VersionRow.name == name)):
            found.setdefault(row.name, []).append(row)
        return found

    def _aliases(self, session: Session, name: str | None) -> dict[str, dict[str, int]]:
        query = select(AliasRow).where(AliasRow.project == self._project).order_by(AliasRow.alias)
        found: dict[str, dict[str, int]] = {}
        for row in session.scalars(query if name is None else query.where(AliasRow.name == name)):
            found.setdefault(row.name, {})[row.alias] = row.version
        return found


def is_refused(row: VersionRow) -> bool:
    """Whether the gates refused a version, and nobody forced it."""
    return bool(row.verdict and row.verdict["refused"])


def _insert_unless_there(dialect: Dialect, values: Mapping[str, Any]) -> Any:
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    return insert(ModelRow).values(**values).on_conflict_do_nothing()
