"""what webhooks announced, and whether they come"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("kind", sa.String(length=40), nullable=True))
    op.add_column("webhook_events", sa.Column("ref", sa.String(length=200), nullable=True))
    op.add_column("webhook_events", sa.Column("read_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_webhook_events_record", "webhook_events", ["connection_id", "kind", "ref"])
    op.add_column("subscriptions", sa.Column("secret", sa.LargeBinary(), nullable=True))
    op.add_column("subscriptions", sa.Column("heard_at", sa.BigInteger(), nullable=True))
    op.add_column("subscriptions", sa.Column("counted_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in ("counted_at", "heard_at", "secret"):
        op.drop_column("subscriptions", name)
    op.drop_index("ix_webhook_events_record", "webhook_events")
    for name in ("read_at", "ref", "kind"):
        op.drop_column("webhook_events", name)
