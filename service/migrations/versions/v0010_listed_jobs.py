"""Indexes for lists of jobs: the queue in its order, and a sweep's runs by state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

QUEUE = "ix_jobs_state_waits_for_children_priority_id"


def upgrade() -> None:
    """Put the queue's index into its order, with what it leaves out, so that no row need be read for a place in it."""
    op.drop_index(op.f("ix_jobs_state_priority_id"), table_name="jobs")
    op.create_index(op.f(QUEUE), "jobs", ["state", "waits_for_children", sa.text("priority DESC"), "id"], unique=False)
    op.create_index(op.f("ix_jobs_parent_id_state_id"), "jobs", ["parent_id", "state", "id"], unique=False)


def downgrade() -> None:
    """Back to the former index."""
    op.drop_index(op.f("ix_jobs_parent_id_state_id"), table_name="jobs")
    op.drop_index(op.f(QUEUE), table_name="jobs")
    op.create_index(op.f("ix_jobs_state_priority_id"), "jobs", ["state", "priority", "id"], unique=False)
