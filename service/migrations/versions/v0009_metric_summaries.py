"""Summaries of metric series. Series from before have none, and are read whole until their jobs write on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "metric_summaries",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("records", JSON, nullable=False),
        sa.Column("left_out", JSON, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_metric_summaries_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "level", "first_seq", name=op.f("pk_metric_summaries")),
    )


def downgrade() -> None:
    """Take them away: long series are read whole."""
    op.drop_table("metric_summaries")
