"""Uploads have a purpose; a picture may come from an upload."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("uploads") as uploads:
        uploads.add_column(sa.Column("purpose", sa.String(8), nullable=False, server_default="picture"))
        uploads.drop_constraint("uq_uploads_content", type_="unique")
        uploads.create_unique_constraint("uq_uploads_content", ["owner", "sha256", "purpose"])
    # The reference from a parent to the pictures has no name that both databases agree on: the table is made anew.
    op.create_table(
        "lineage_new",
        sa.Column("parent_id", sa.String(32), primary_key=True),
        sa.Column("child_id", sa.String(32), sa.ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
    )
    op.execute("INSERT INTO lineage_new (parent_id, child_id, owner) SELECT parent_id, child_id, owner FROM lineage")
    op.drop_table("lineage")
    op.rename_table("lineage_new", "lineage")
    op.create_index("ix_lineage_child_id", "lineage", ["child_id"])
