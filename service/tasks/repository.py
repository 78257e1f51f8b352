"""All SQL on tasks. Every fragment that is put together here is a literal; values are parameters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg.errors import ForeignKeyViolation

from service.kit.db import ReadSession, Row, UserId, WriteSession
from service.kit.problems import NotSignedIn
from service.tasks.models import Owner, Task

# A user's page in the directory shows all their tasks in one answer; it has to end somewhere.
MOST_OF_OWNER: Final = 1000

_COLUMNS: Final = "id, title, description, status, user_id, created_at, updated_at"
_ORDERS: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    "createdAt": ("created_at", "ASC"),
    "-createdAt": ("created_at", "DESC"),
    "updatedAt": ("updated_at", "ASC"),
    "-updatedAt": ("updated_at", "DESC"),
    "title": ("title", "ASC"),
    "-title": ("title", "DESC"),
}


async def page(
    session: ReadSession, user_id: UserId, *, status: str | None, q: str, sort: str, limit: int, offset: int
) -> tuple[int, list[Task]]:
    """The total and one page; of one moment, since in one statement."""
    where, values = _filters(user_id, status, q)
    column, direction = _ORDERS[sort]
    if q:
        # A text is looked for in all tasks of the user, wherever they lie: once, for the count and the page together.
        query = f"""
            WITH found AS MATERIALIZED (SELECT id, {column} AS place FROM tasks WHERE {where})
            SELECT counted.total, t.* FROM (SELECT count(*) AS total FROM found) AS counted
            LEFT JOIN LATERAL (
                SELECT {_COLUMNS} FROM tasks WHERE id IN (
                    SELECT id FROM found ORDER BY place {direction}, id {direction} LIMIT %s OFFSET %s
                ) ORDER BY {column} {direction}, id {direction}
            ) AS t ON true
        """
        return _counted(await session.rows(query, (*values, limit, offset)))
    query = f"""
        SELECT counted.total, t.* FROM (SELECT count(*) AS total FROM tasks WHERE {where}) AS counted
        LEFT JOIN LATERAL (
            SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY {column} {direction}, id {direction} LIMIT %s OFFSET %s
        ) AS t ON true
    """
    return _counted(await session.rows(query, (*values, *values, limit, offset)))


def _counted(rows: Sequence[Row]) -> tuple[int, list[Task]]:
    return rows[0][0], [Task(*row[1:]) for row in rows if row[1] is not None]


async def after(
    session: ReadSession,
    user_id: UserId,
    *,
    status: str | None,
    q: str,
    sort: str,
    limit: int,
    position: Sequence[Any] | None,
) -> list[Task]:
    """What follows a position (value of the sort column, id). Nothing is counted: depth costs nothing."""
    where, values = _filters(user_id, status, q)
    column, direction = _ORDERS[sort]
    if position is not None:
        kind: LiteralString = "text" if column == "title" else "timestamptz"
        compare: LiteralString = "<" if direction == "DESC" else ">"
        where = f"{where} AND ({column}, id) {compare} (%s::{kind}, %s)"
        values = [*values, *position]
    query = f"SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY {column} {direction}, id {direction} LIMIT %s"
    return [Task(*row) for row in await session.rows(query, (*values, limit))]


def _filters(user_id: UserId, status: str | None, q: str) -> tuple[LiteralString, list[Any]]:
    where: LiteralString = "user_id = %s"
    values: list[Any] = [user_id]
    if status is not None:
        where = f"{where} AND status = %s"
        values.append(status)
    if q:
        where = f"{where} AND (title ILIKE %s OR description ILIKE %s)"
        pattern = f"%{_escaped(q)}%"
        values += [pattern, pattern]
    return where, values


def _escaped(q: str) -> str:
    r"""``q`` as itself in a LIKE pattern, whose special characters are ``%``, ``_`` and ``\``."""
    return q.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


async def with_owner(session: ReadSession, task_id: int) -> tuple[Task, Owner] | None:
    row = await session.row(
        """
        SELECT t.id, title, description, status, user_id, t.created_at, t.updated_at, u.name, u.email
        FROM tasks AS t JOIN users AS u ON u.id = t.user_id WHERE t.id = %s
        """,
        (task_id,),
    )
    return None if row is None else _with_owner(row)


async def insert(
    session: WriteSession, user_id: UserId, *, title: str, description: str | None, status: str
) -> tuple[Task, Owner]:
    """Raises :class:`NotSignedIn` when the user is gone: their token outlives them by up to 2 s."""
    query = f"""
        WITH made AS (
            INSERT INTO tasks (user_id, title, description, status) VALUES (%s, %s, %s, %s) RETURNING {_COLUMNS}
        ) SELECT made.*, u.name, u.email FROM made JOIN users AS u ON u.id = made.user_id
    """
    try:
        [row] = await session.rows(query, (user_id, title, description, status))
    except ForeignKeyViolation as error:
        raise NotSignedIn from error
    return _with_owner(row)


def _with_owner(row: Row) -> tuple[Task, Owner]:
    task = Task(*row[:7])
    return task, Owner(task.user_id, row[7], row[8])


async def lock(session: WriteSession, task_id: int) -> Task | None:
    """The task, held until the transaction ends: what is decided on it still holds when it is written."""
    row = await session.row(f"SELECT {_COLUMNS} FROM tasks WHERE id = %s FOR UPDATE", (task_id,))
    return None if row is None else Task(*row)


async def update(session: WriteSession, task: Task) -> Task:
    """Writes title, description and status of a locked task."""
    # Two updates within one millisecond must not share a moment: the entity tag is made of it.
    [row] = await session.rows(
        f"""
        UPDATE tasks SET title = %s, description = %s, status = %s,
            updated_at = greatest(clock_timestamp(), updated_at + interval '1 millisecond')
        WHERE id = %s RETURNING {_COLUMNS}
        """,
        (task.title, task.description, task.status, task.id),
    )
    return Task(*row)


async def delete(session: WriteSession, task_id: int) -> None:
    await session.execute("DELETE FROM tasks WHERE id = %s", (task_id,))


async def stats(session: ReadSession, user_id: UserId, *, week: datetime) -> tuple[dict[str, int], int]:
    """Tasks by status, and how many of the completed ones were last changed since ``week``."""
    # The first is answered from an index alone; only completed tasks have to be looked at for their last change.
    rows = await session.rows(
        """
        SELECT status, count(*), (
            SELECT count(*) FROM tasks WHERE user_id = %s AND status = 'COMPLETED' AND updated_at >= %s
        ) FROM tasks WHERE user_id = %s GROUP BY status
        """,
        (user_id, week, user_id),
    )
    return {row[0]: row[1] for row in rows}, rows[0][2] if rows else 0


async def newest_of_owner(session: ReadSession, user_id: int) -> list[Task]:
    """At most :data:`MOST_OF_OWNER`."""
    rows = await session.rows(
        f"SELECT {_COLUMNS} FROM tasks WHERE user_id = %s ORDER BY created_at DESC, id DESC LIMIT %s",
        (user_id, MOST_OF_OWNER),
    )
    return [Task(*row) for row in rows]
