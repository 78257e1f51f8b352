"""the indexes that serve the lists, built while the service runs

CREATE INDEX CONCURRENTLY blocks no write, and cannot run in a transaction. If it fails half-way it leaves an index that
is INVALID: never used, yet kept up to date. Running this again removes such a remnant first.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_INDEXES = {
    "tasks_owner_newest_idx": "tasks (user_id, created_at DESC, id DESC)",
    "tasks_owner_status_newest_idx": "tasks (user_id, status, created_at DESC, id DESC)",
    "users_newest_idx": "users (created_at DESC, id DESC)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, on in _INDEXES.items():
            valid = (
                op.get_bind()
                .exec_driver_sql(
                    "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relname = %s",
                    (name,),
                )
                .scalar()
            )
            if valid is False:
                op.execute(f"DROP INDEX CONCURRENTLY {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {on}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in _INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
