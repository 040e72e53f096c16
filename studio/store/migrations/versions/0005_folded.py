"""Prompts are searched without regard to case in any alphabet."""

import sqlalchemy as sa
from alembic import op

from studio.store.database import chunks, fold

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assets", sa.Column("folded", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    ids = connection.scalars(sa.text("SELECT id FROM assets")).all()
    find = sa.text("SELECT id, prompt FROM assets WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
    for some in chunks(ids):
        rows = [{"id": id, "folded": fold(prompt)} for id, prompt in connection.execute(find, {"ids": list(some)})]
        connection.execute(sa.text("UPDATE assets SET folded = :folded WHERE id = :id"), rows)
