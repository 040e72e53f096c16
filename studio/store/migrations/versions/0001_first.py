"""Jobs, pictures, lineage, prompt styles and wildcards; every row has an owner."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("family", sa.String(255), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_field", sa.String(64)),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("work", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("load_seconds", sa.Double, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_jobs_idempotency"),
    )
    op.create_index("ix_jobs_line", "jobs", ["status", "number"])
    op.create_index("ix_jobs_owner", "jobs", ["owner", "number"])
    op.create_index("ix_jobs_timing", "jobs", ["capability", "family", "status", "number"])
    op.create_table(
        "assets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("index", sa.Integer, nullable=False),
        sa.Column("capability", sa.String(64), nullable=False),
        sa.Column("family", sa.String(255), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("starred", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT),
        sa.UniqueConstraint("job_id", "index", name="uq_assets_job_index"),
    )
    op.create_index("ix_assets_page", "assets", ["owner", "created_at", "id"])
    op.create_index("ix_assets_deleted", "assets", ["deleted_at"])
    op.create_table(
        "lineage",
        sa.Column("parent_id", sa.String(32), sa.ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("child_id", sa.String(32), sa.ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
    )
    op.create_index("ix_lineage_child_id", "lineage", ["child_id"])
    for table, columns in {"styles": ("prompt", "negative"), "wildcards": ("text",)}.items():
        op.create_table(
            table,
            sa.Column("owner", sa.String(255), primary_key=True),
            sa.Column("name", sa.String(80), primary_key=True),
            *(sa.Column(column, sa.Text, nullable=False) for column in columns),
        )
