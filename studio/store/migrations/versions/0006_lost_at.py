"""Jobs know where their workers died."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("lost_at", sa.Integer, nullable=False, server_default="-1"))
    op.add_column("jobs", sa.Column("lost_there", sa.Integer, nullable=False, server_default="0"))
