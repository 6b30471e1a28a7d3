"""The traffic of models as it is stored: read, set, and checked against the versions that it names."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from ctrfast.data.encode import SCHEMA_FILE
from ctrfast.errors import ArtifactError
from ctrfast.fitted_schema import FittedSchema
from service.database import Database
from service.paths import without_server_paths
from service.places import is_small
from service.pointers import count_change
from service.problems import BadValueError, ModelUnavailableError, NotFoundError
from service.projects import DEFAULT_PROJECT
from service.registry import Registry
from service.settings import Settings
from service.tables import AliasRow, ModelRow
from service.traffic import Traffic


class TrafficStore:
    """Traffic of the models of one project."""

    def __init__(self, database: Database, settings: Settings, project: str = DEFAULT_PROJECT) -> None:
        self._database = database
        self._settings = settings
        self._project = project

    def of(self, project: str) -> TrafficStore:
        """The traffic of another project."""
        return TrafficStore(self._database, self._settings, project)

    def get(self, name: str) -> Traffic:
        """A model's traffic; without settings, all requests go to `latest`. Raises NotFoundError."""
        with self._database.read() as session:
            row = session.get(ModelRow, (self._project, name))
        if row is None:
            raise NotFoundError("model", name)
        return Traffic.model_validate(row.traffic or {})

    def put(self, name: str, traffic: Traffic) -> None:
        """Set a model's traffic.

        Raises:
            NotFoundError: there is no such model.
            BadValueError: it lacks an alias, or one of the versions has no such field; `path` names the setting.
            ModelUnavailableError: the schema of a version cannot be read.
        """
        with self._database.write() as session:
            model = session.get(ModelRow, (self._project, name), with_for_update=True)
            if model is None:
                raise NotFoundError("model", name)
            of = (AliasRow.project == self._project, AliasRow.name == name)
            known = {row.alias: row.version for row in session.scalars(select(AliasRow).where(*of))}
            for alias, path in traffic.aliases.items():
                if alias not in known:
                    have = ", ".join(sorted(known)) or "none"
                    raise BadValueError(f"The model {name!r} has no alias {alias!r}. It has: {have}.", path=path)
            if traffic.split is not None and traffic.split.by is not None:
                for alias in traffic.split.shares:
                    registry = Registry(self._database, self._settings, self._project)
                    with registry.opened(name, known[alias], is_small) as (folder, _):
                        _require_field(folder, traffic.split.by, alias)
            is_plain = traffic.split is None and traffic.shadow is None
            model.traffic = None if is_plain else traffic.model_dump(mode="json")
            session.flush()
            count_change(session)


def _require_field(folder: Path, column: str, alias: str) -> None:
    """Raise BadValueError unless rows for a version may have this column, with one value each."""
    try:
        schema = FittedSchema.from_file(folder / SCHEMA_FILE).schema_
    except ArtifactError as error:
        raise ModelUnavailableError(without_server_paths(error.message)) from error
    # Also those that no field uses: rows may have them.
    columns = [name for name in schema.columns if name not in schema.labels]
    if column not in columns:
        known = ", ".join(columns)
        raise BadValueError(
            f"`by` must be a column of the model's rows. Got {column!r}, which the version behind {alias!r} does not "
            f"have. Choose one of: {known}.",
            path="split.by",
        )
    if any(field.source == column and field.separator is not None for field in schema.id_fields):
        raise BadValueError(f"`by` must have one value a row. Got {column!r}, a field of lists.", path="split.by")
