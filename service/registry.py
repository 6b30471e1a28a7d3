"""The model registry: immutable versions 1, 2, ... of a name, and aliases that move between them.

A version's row, the alias `latest` and the end of its job are one transaction, which checks the fencing token and puts
the verified folder in place: a reader sees all of a version or nothing, and a worker that lost its lease publishes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ctrfast.folders import MANIFEST, file_hash
from service.database import Database
from service.folders import put_in_place
from service.problems import BadValueError, NotFoundError
from service.projects import DEFAULT_PROJECT
from service.settings import Settings
from service.tables import AliasRow, ModelRow, VersionRow

LATEST = "latest"


@dataclass(frozen=True)
class Model:
    """A name with its versions, oldest first, and its aliases. on_disk: versions whose folder is there."""

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

    def publish(self, session: Session, name: str, bundle: Path, job_id: str, metrics: Mapping[str, Any]) -> int:
        """Put a verified bundle in place as the next version and point `latest` at it, in the caller's transaction.

        Returns: the version's number.
        """
        now = time.time()
        bind = session.get_bind()
        first = {"project": self._project, "name": name, "last_version": 0, "created_at": now}
        session.execute(_insert_unless_there(bind.dialect, first))
        model = session.get_one(ModelRow, (self._project, name), with_for_update=True)
        model.last_version += 1
        version = model.last_version
        row = VersionRow(
            project=self._project,
            name=name,
            version=version,
            sha256=file_hash(bundle / MANIFEST),
            metrics=dict(metrics),
            job_id=job_id,
            created_at=now,
        )
        session.add(row)
        session.flush()
        session.merge(AliasRow(project=self._project, name=name, alias=LATEST, version=version, updated_at=now))
        session.flush()
        put_in_place(bundle, self.folder(name, version))
        return version

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version, atomically.

        Raises:
            NotFoundError: there is no such model.
            BadValueError: it has no such version.
        """
        with self._database.write() as session:
            if session.get(ModelRow, (self._project, name), with_for_update=True) is None:
                raise NotFoundError("model", name, self._names(session))
            if session.get(VersionRow, (self._project, name, version)) is None:
                raise BadValueError(f"The model {name!r} has no version {version}.", path="version")
            now = time.time()
            session.merge(AliasRow(project=self._project, name=name, alias=alias, version=version, updated_at=now))

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

    def all(self) -> Sequence[Model]:
        """All models, by name."""
        with self._database.read() as session:
            return self._models(session, None)

    def names(self) -> Sequence[str]:
        """All names."""
        with self._database.read() as session:
            return self._names(session)

    def alias_table(self) -> dict[tuple[str, str, str], int]:
        """Every alias of every model of every project: (project, name, alias) -> version."""
        query = select(AliasRow.project, AliasRow.name, AliasRow.alias, AliasRow.version)
        with self._database.read() as session:
            rows = session.execute(query).all()
        return {(project, name, alias): version for project, name, alias, version in rows}

    def folder(self, name: str, version: int) -> Path:
        """Where a version's bundle lies."""
        return self._settings.model_folder(self._project, name, version)

    def _models(self, session: Session, name: str | None) -> list[Model]:
        by_name, pointers = self._versions(session, name), self._aliases(session, name)
        return [Model(known, rows, pointers.get(known, {}), self._on_disk(rows)) for known, rows in by_name.items()]

    def _on_disk(self, rows: Sequence[VersionRow]) -> frozenset[int]:
        return frozenset(row.version for row in rows if (self.folder(row.name, row.version) / MANIFEST).is_file())

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


def _insert_unless_there(dialect: Dialect, values: Mapping[str, Any]) -> Any:
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    return insert(ModelRow).values(**values).on_conflict_do_nothing()
