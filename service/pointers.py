"""What API processes must notice of the registry, and how they do so for the price of one row.

Whoever moves an alias, sets traffic or removes a version raises one number in the same transaction. Its row is held
until that ends, so that changes become visible in the order of their numbers and none can hide behind a later one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session

from service.database import Database
from service.tables import AliasRow, ModelRow, RegistryChanges, VersionRow

Alias = tuple[str, str, str]  # project, model, alias
Key = tuple[str, str, int]  # project, model, version


@dataclass(frozen=True)
class Pointers:
    """Of all projects: where aliases point, and traffic by (project, model) as it is stored (`service.traffic`)."""

    aliases: Mapping[Alias, int] = field(default_factory=dict)
    traffic: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


class PointerStore:
    """Reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changes(self) -> int:
        """How often any of it has changed."""
        with self._database.read() as session:
            return session.scalars(select(RegistryChanges.number)).one()

    def read(self) -> Pointers:
        """All aliases and all traffic."""
        aliases = select(AliasRow.project, AliasRow.name, AliasRow.alias, AliasRow.version)
        traffic = select(ModelRow.project, ModelRow.name, ModelRow.traffic).where(ModelRow.traffic.is_not(None))
        with self._database.read() as session:
            return Pointers(
                {(project, name, alias): version for project, name, alias, version in session.execute(aliases)},
                {(project, name): shares for project, name, shares in session.execute(traffic) if shares is not None},
            )

    def removed_among(self, versions: Collection[Key]) -> set[Key]:
        """Those of some versions that were removed."""
        if not versions:
            return set()
        key = (VersionRow.project, VersionRow.name, VersionRow.version)
        query = select(*key).where(tuple_(*key).in_(list(versions)), VersionRow.removed_at.is_not(None))
        with self._database.read() as session:
            return {(project, name, version) for project, name, version in session.execute(query)}


def count_change(session: Session) -> None:
    """Tell API processes to look again, at the end of the caller's transaction."""
    session.execute(update(RegistryChanges).values(number=RegistryChanges.number + 1))
