"""Alembic's entry, run by ``service.migrations.door`` with an open connection."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Each revision commits by itself: one of them builds indexes outside of any transaction.
    transaction_per_migration=True,
    on_version_apply=context.config.attributes["on_step"],
)
with context.begin_transaction():
    context.run_migrations()
