"""what a plan and a change take back"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plans", sa.Column("undoes", sa.String(length=40), nullable=True))
    op.add_column("changes", sa.Column("undoes", sa.String(length=40), nullable=True))


def downgrade() -> None:
    op.drop_column("changes", "undoes")
    op.drop_column("plans", "undoes")
