"""The figures of shadows in the database, over all API processes: each adds what it has summed up since."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import select

from service.database import Database
from service.problems import NotFoundError
from service.projects import DEFAULT_PROJECT
from service.shadow_sums import Sums
from service.tables import ModelRow, ShadowRow

Pair = tuple[str, str, int, int]  # project, model, version, shadow's version


class ShadowStore:
    """Reads and adds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, news: Mapping[Pair, Sums]) -> None:
        """Add sums. The pairs go in order, so that two processes cannot hold a row each that the other waits for."""
        with self._database.write() as session:
            for pair, sums in sorted(news.items(), key=lambda item: item[0]):
                project, name, version, shadow_version = pair
                session.get_one(ModelRow, (project, name), with_for_update=True)  # the first to add makes the row alone
                row = session.get(ShadowRow, pair)
                if row is None:
                    row = ShadowRow(
                        project=project,
                        name=name,
                        version=version,
                        shadow_version=shadow_version,
                        sums=Sums().to_json(),
                    )
                    session.add(row)
                total = Sums.from_json(row.sums)
                total.add(sums)
                row.sums, row.updated_at = total.to_json(), time.time()

    def read(self, name: str, project: str = DEFAULT_PROJECT) -> list[ShadowRow]:
        """All comparisons of a model, the newest first. Raises NotFoundError."""
        query = select(ShadowRow).where(ShadowRow.project == project, ShadowRow.name == name)
        with self._database.read() as session:
            if session.get(ModelRow, (project, name)) is None:
                raise NotFoundError("model", name)
            return list(session.scalars(query.order_by(ShadowRow.updated_at.desc())))
