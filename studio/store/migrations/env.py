"""Alembic's entry: runs on the connection and in the transaction that `studio.store.database` opened."""

from alembic import context

from studio.store.database import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
