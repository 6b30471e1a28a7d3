"""The registry: verdicts and ends of versions, moves of aliases, traffic, figures of shadows, a count of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.Float(precision=53)
PROJECT, NAME = sa.String(length=32), sa.String(length=64)


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("verdict", JSON, nullable=True))
    op.add_column("model_versions", sa.Column("removed_at", TIME, nullable=True))
    op.add_column("models", sa.Column("traffic", JSON, nullable=True))
    op.create_table(
        "alias_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", PROJECT, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("alias", NAME, nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("caller", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "name"],
            ["models.project", "models.name"],
            name=op.f("fk_alias_moves_project_name"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias_moves")),
    )
    op.create_index(
        op.f("ix_alias_moves_project_name_alias_id"), "alias_moves", ["project", "name", "alias", "id"], unique=False
    )
    # Each alias has a newest move: its ETag.
    op.execute(
        "INSERT INTO alias_moves (project, name, alias, to_version, caller, at)"
        " SELECT project, name, alias, version, '', updated_at FROM aliases"
    )
    op.create_table(
        "shadow_figures",
        sa.Column("project", PROJECT, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shadow_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sums", JSON, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "name"],
            ["models.project", "models.name"],
            name=op.f("fk_shadow_figures_project_name"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project", "name", "version", "shadow_version", name=op.f("pk_shadow_figures")),
    )
    changes = op.create_table(
        "registry_changes",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_changes")),
    )
    op.bulk_insert(changes, [{"id": 1, "number": 0}])


def downgrade() -> None:
    """Take them away. Versions whose folders were removed stay listed, as versions whose files are missing."""
    op.drop_table("registry_changes")
    op.drop_table("shadow_figures")
    op.drop_index(op.f("ix_alias_moves_project_name_alias_id"), table_name="alias_moves")
    op.drop_table("alias_moves")
    op.drop_column("models", "traffic")
    for name in ("removed_at", "verdict"):
        op.drop_column("model_versions", name)
