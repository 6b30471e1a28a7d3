"""Alembic's entry: run the revisions on the connection that `service.database` hands over."""

from __future__ import annotations

from alembic import context

from service.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
