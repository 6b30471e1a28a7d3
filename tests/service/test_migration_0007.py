"""The registry's tables forward and back, with models in them, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from service.database import Database
from service.pointers import PointerStore
from service.registry import Registry
from service.settings import Settings

pytestmark = pytest.mark.empty_database

BEFORE = "0006"
NEW_TABLES = {"alias_moves", "registry_changes", "shadow_figures"}


def test_forward_and_back_with_models_in_the_tables(settings: Settings) -> None:
    database = Database(settings.url)
    database.migrate(BEFORE)
    with database.engine.begin() as connection:
        for statement in (
            "INSERT INTO models (project, name, last_version, created_at) VALUES ('default', 'm', 2, 1.0)",
            "INSERT INTO model_versions (project, name, version, sha256, metrics, created_at)"
            " VALUES ('default', 'm', 1, 'a', '{}', 1.0)",
            "INSERT INTO model_versions (project, name, version, sha256, metrics, created_at)"
            " VALUES ('default', 'm', 2, 'b', '{}', 2.0)",
            "INSERT INTO aliases (project, name, alias, version, updated_at)"
            " VALUES ('default', 'm', 'latest', 2, 3.0), ('default', 'm', 'stable', 1, 4.0)",
        ):
            connection.exec_driver_sql(statement)
    database.migrate()
    assert database.unfit() is None
    registry = Registry(database, settings)
    (move,) = registry.history("m", "stable", 10)
    assert (move.from_version, move.to_version, move.caller, move.at) == (None, 1, "", 4.0)
    assert [(row.verdict, row.removed_at) for row in registry.get("m").versions] == [(None, None)] * 2
    assert PointerStore(database).changes() == 0
    registry.set_alias("m", "stable", 2, caller="k")
    assert PointerStore(database).changes() == 1
    database.migrate(BEFORE)
    assert not NEW_TABLES & set(inspect(database.engine).get_table_names())
    columns = {
        column["name"]
        for table in ("models", "model_versions")
        for column in inspect(database.engine).get_columns(table)
    }
    assert not {"verdict", "removed_at", "traffic"} & columns
    with database.engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(text("SELECT alias, version FROM aliases"))}
    assert found == {("latest", 2), ("stable", 2)}
    database.migrate()
    assert [(move.from_version, move.to_version) for move in registry.history("m", "stable", 10)] == [(None, 2)]
    database.dispose()
