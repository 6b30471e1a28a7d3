"""Access: projects, keys with scopes, expiry and revocation, the audit log.

The tables whose primary key grows by the project are made anew in both directions and filled from copies. SQLite's
usual way (alembic's batch mode) drops a table while others refer to it, and its foreign keys would then delete their
rows: children are dropped before parents here.

A key that is there already keeps what it could do, which was everything. Downgrading removes what the older tables
could not keep apart: other projects' rows (their files stay on disk), and keys that would gain a right.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.Float(precision=53)
ALL_SCOPES = "jobs:read jobs:write models:read models:write score admin"

_DATASETS = "name, path, hash, preset, rows, label_rate, table_rows, job_id, created_at"
_MODELS = "name, last_version, created_at"
_VERSIONS = "name, version, sha256, metrics, job_id, created_at"
_ALIASES = "name, alias, version, updated_at"
# Parents first.
_COLUMNS = {"datasets": _DATASETS, "models": _MODELS, "model_versions": _VERSIONS, "aliases": _ALIASES}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("project", sa.String(length=32), server_default="default", nullable=False))
    op.create_index(op.f("ix_jobs_project_id"), "jobs", ["project", "id"], unique=False)
    for column in (
        sa.Column("project", sa.String(length=32), server_default="default", nullable=False),
        sa.Column("scopes", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
    ):
        op.add_column("api_keys", column)
    op.execute(f"UPDATE api_keys SET scopes = '{ALL_SCOPES}'")  # noqa: S608 - a constant
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("caller", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=32), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("target", sa.String(length=255), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_project_id"), "audit", ["project", "id"], unique=False)
    _set_aside()
    _make_registers(["project"])
    for table, columns in _COLUMNS.items():
        op.execute(f"INSERT INTO {table} (project, {columns}) SELECT 'default', {columns} FROM kept_{table}")  # noqa: S608
        op.execute(f"DROP TABLE kept_{table}")


def downgrade() -> None:
    limited = f"revoked_at IS NOT NULL OR expires_at IS NOT NULL OR scopes <> '{ALL_SCOPES}'"
    op.execute(f"DELETE FROM api_keys WHERE project <> 'default' OR {limited}")  # noqa: S608 - a constant
    _set_aside()
    _make_registers([])
    for table, columns in _COLUMNS.items():
        op.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM kept_{table} WHERE project = 'default'"  # noqa: S608
        )
        op.execute(f"DROP TABLE kept_{table}")
    op.execute("DELETE FROM jobs WHERE project <> 'default'")
    op.drop_table("audit")
    for name in ("project", "scopes", "expires_at", "revoked_at", "last_used_at"):
        op.drop_column("api_keys", name)
    op.drop_index(op.f("ix_jobs_project_id"), table_name="jobs")
    op.drop_column("jobs", "project")


def _set_aside() -> None:
    for table in _COLUMNS:
        op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608
    for table in reversed(_COLUMNS):
        op.drop_table(table)


def _make_registers(owner: list[str]) -> None:
    """Create the registers' tables; `owner` comes first in each key: `["project"]`, or nothing."""

    def owner_columns() -> list[sa.Column[str]]:
        return [sa.Column(name, sa.String(length=32), nullable=False) for name in owner]

    def named(kind: str, table: str, *columns: str) -> str:
        return op.f("_".join([kind, table, *columns]))

    op.create_table(
        "datasets",
        *owner_columns(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("preset", sa.String(length=64), nullable=False),
        sa.Column("rows", JSON, nullable=False),
        sa.Column("label_rate", JSON, nullable=False),
        sa.Column("table_rows", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_datasets_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint(*owner, "name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "models",
        *owner_columns(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint(*owner, "name", name=op.f("pk_models")),
    )
    model = [*owner, "name"]
    op.create_table(
        "model_versions",
        *owner_columns(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_model_versions_job_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            model,
            [f"models.{column}" for column in model],
            name=named("fk", "model_versions", *model),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*model, "version", name=op.f("pk_model_versions")),
    )
    version = [*model, "version"]
    op.create_table(
        "aliases",
        *owner_columns(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            version,
            [f"model_versions.{column}" for column in version],
            name=named("fk", "aliases", *version),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*model, "alias", name=op.f("pk_aliases")),
    )
