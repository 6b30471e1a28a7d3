"""Alembic migrations of the service's tables, run on a connection that the caller holds."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def run(connection: Connection, revision: str) -> None:
    """Bring the tables up or down to a revision; `base` has none."""
    config = config_for(connection)
    current = MigrationContext.configure(connection).get_current_revision()
    passed = ScriptDirectory.from_config(config).iterate_revisions(current, "base") if current is not None else ()
    if revision == "base" or revision in {script.revision for script in passed}:
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def config_for(connection: Connection | None) -> Config:
    """Alembic's settings for the revisions in this folder."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
