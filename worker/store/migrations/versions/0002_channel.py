"""who agreed to a plan; messages by name"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=False),
        sa.Column("covers", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_approvals_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "approver", name=op.f("pk_approvals")),
    )
    op.create_index("ix_outbox_message", "outbox", ["message", "channel"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_outbox_message", table_name="outbox")
    op.drop_table("approvals")
