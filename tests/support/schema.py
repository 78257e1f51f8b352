"""Looking at the schema of a database, and at who is changing it."""

import psycopg

from service.settings import Database

# What revision 0002 adds.
OF_THE_LISTS = frozenset({"tasks_owner_newest_idx", "tasks_owner_status_newest_idx", "users_newest_idx"})
_BUILDING = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'tasks-migrate' AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'
"""


def connected(database: Database) -> psycopg.Connection:
    return psycopg.connect(database.url.get_secret_value(), autocommit=True)


def indexes(database: Database, *, valid: bool = True) -> set[str]:
    """Of users and tasks."""
    with connected(database) as sql:
        rows = sql.execute(
            """
            SELECT indexrelid::regclass::text FROM pg_index
            WHERE indrelid IN ('users'::regclass, 'tasks'::regclass) AND indisvalid = %s
            """,
            (valid,),
        ).fetchall()
    return {row[0] for row in rows}


def building(database: Database) -> int | None:
    """The server's process that waits to go on with an index."""
    with connected(database) as sql:
        row = sql.execute(_BUILDING).fetchone()
    return None if row is None else int(row[0])
