"""Jobs can pause and wait: priority, deadline, back-off, the wish to pause, and labels."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add the columns, whose defaults leave the jobs as they are, and the table of labels."""
    for column in (
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("deadline_s", sa.Float(precision=53), nullable=True),
        sa.Column("deadline_at", sa.Float(precision=53), nullable=True),
        sa.Column("not_before", sa.Float(precision=53), nullable=False, server_default="0"),
        sa.Column("pausing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("labels", JSON, nullable=False, server_default="{}"),
    ):
        op.add_column("jobs", column)
    op.create_index(op.f("ix_jobs_state_priority_id"), "jobs", ["state", "priority", "id"], unique=False)
    op.create_table(
        "job_labels",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_labels_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_job_labels")),
    )
    op.create_index(op.f("ix_job_labels_key_value_job_id"), "job_labels", ["key", "value", "job_id"], unique=False)


def downgrade() -> None:
    """Take them away. A paused job becomes a cancelled one, which a retry takes up from the same checkpoint."""
    paused = sa.text("UPDATE jobs SET state = 'cancelled', finished_at = :now WHERE state = 'paused'")
    op.get_bind().execute(paused, {"now": time.time()})
    op.drop_index(op.f("ix_job_labels_key_value_job_id"), table_name="job_labels")
    op.drop_table("job_labels")
    op.drop_index(op.f("ix_jobs_state_priority_id"), table_name="jobs")
    for name in ("labels", "pausing", "not_before", "deadline_at", "deadline_s", "priority"):
        op.drop_column("jobs", name)
