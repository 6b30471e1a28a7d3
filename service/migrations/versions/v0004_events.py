"""Events: log lines among them are counted, jobs may have a webhook, and each webhook that is due is a row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.Float(precision=53)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("log_events", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("webhook", JSON, nullable=True))
    op.create_table(
        "webhook_deliveries",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id", "seq"],
            ["events.job_id", "events.seq"],
            name=op.f("fk_webhook_deliveries_job_id_seq"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(op.f("ix_webhook_deliveries_next_at"), "webhook_deliveries", ["next_at"], unique=False)


def downgrade() -> None:
    """Take them away. Webhooks that wait are never sent; events stay, those of the newer types too."""
    op.drop_index(op.f("ix_webhook_deliveries_next_at"), table_name="webhook_deliveries")
    op.drop_table("webhook_deliveries")
    for name in ("webhook", "log_events"):
        op.drop_column("jobs", name)
