"""Jobs know whether they may run beside a drawing, and which deaths were theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("light", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("losses", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("stops", sa.Integer, nullable=False, server_default="0"))
