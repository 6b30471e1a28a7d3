"""Sweeps: jobs that have a parent, and parents that wait for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; no job that is there has a parent."""
    op.add_column("jobs", sa.Column("parent_id", sa.String(length=32), nullable=True))
    op.add_column("jobs", sa.Column("waits_for_children", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f("ix_jobs_parent_id_id"), "jobs", ["parent_id", "id"], unique=False)


def downgrade() -> None:
    """Take them away, and with them the sweeps, a kind that older versions do not know; their children stay."""
    op.execute("DELETE FROM jobs WHERE kind = 'sweep'")
    op.drop_index(op.f("ix_jobs_parent_id_id"), table_name="jobs")
    for name in ("waits_for_children", "parent_id"):
        op.drop_column("jobs", name)
