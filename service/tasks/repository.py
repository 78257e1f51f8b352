"""All SQL on tasks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.kit.db import ReadSession, UserId, WriteSession
from service.kit.problems import NotSignedIn
from service.tasks.models import Owner, StoredTask, Task

# A user's page in the directory shows all their tasks in one answer; it has to end somewhere.
MOST_OF_OWNER: Final = 1000

_TASK = (Task.id, Task.title, Task.description, Task.status, Task.user_id, Task.created_at, Task.updated_at)
# Read by name only: the room of users imports this one, and rooms must not import each other in a circle.
_OWNERS = sa.table("users", sa.column("id"), sa.column("name"), sa.column("email"))

# The list is the hottest read, so it is written for the driver. Every fragment is a literal; values are parameters.
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
) -> tuple[int, list[StoredTask]]:
    """The total and one page, in one statement and so of one moment."""
    where, values = _filters(user_id, status, q)
    column, direction = _ORDERS[sort]
    query = f"""
        SELECT counted.total, t.* FROM (SELECT count(*) AS total FROM tasks WHERE {where}) AS counted
        LEFT JOIN LATERAL (
            SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY {column} {direction}, id {direction} LIMIT %s OFFSET %s
        ) AS t ON true
    """  # noqa: S608 (literals only)
    rows = await session.driver_rows(query, (*values, *values, limit, offset))
    return rows[0][0], [StoredTask(*row[1:]) for row in rows if row[1] is not None]


async def after(
    session: ReadSession,
    user_id: UserId,
    *,
    status: str | None,
    q: str,
    sort: str,
    limit: int,
    position: Sequence[Any] | None,
) -> list[StoredTask]:
    """The tasks that follow a position (value of the sort column, id); no count, so the cost does not grow with depth."""
    where, values = _filters(user_id, status, q)
    column, direction = _ORDERS[sort]
    if position is not None:
        kind: LiteralString = "text" if column == "title" else "timestamptz"
        compare: LiteralString = "<" if direction == "DESC" else ">"
        where = f"{where} AND ({column}, id) {compare} (%s::{kind}, %s)"
        values = [*values, *position]
    query = f"""
        SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY {column} {direction}, id {direction} LIMIT %s
    """  # noqa: S608 (literals only)
    return [StoredTask(*row) for row in await session.driver_rows(query, (*values, limit))]


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
    r"""``q`` as itself in a LIKE pattern, whose wildcards are ``%``, ``_`` and ``\``."""
    return q.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


async def with_owner(session: ReadSession, task_id: int) -> tuple[StoredTask, Owner] | None:
    row = await session.first(
        sa.select(*_TASK, _OWNERS.c.name, _OWNERS.c.email)
        .join(_OWNERS, _OWNERS.c.id == Task.user_id)
        .where(Task.id == task_id)
    )
    return None if row is None else _with_owner(row)


async def insert_task(
    session: WriteSession, user_id: UserId, *, title: str, description: str | None, status: str
) -> tuple[StoredTask, Owner]:
    """Raises :class:`NotSignedIn` when the user is gone: their token outlives them by up to 2 s."""
    values = {"user_id": user_id, "title": title, "description": description, "status": status}
    made = sa.insert(Task).values(values).returning(*_TASK).cte("made")
    try:
        row = await session.first(
            sa.select(*made.c, _OWNERS.c.name, _OWNERS.c.email).join(_OWNERS, _OWNERS.c.id == made.c.user_id)
        )
    except IntegrityError as error:
        raise NotSignedIn from error
    if row is None:  # pragma: no cover
        raise NotSignedIn
    return _with_owner(row)


def _with_owner(row: Any) -> tuple[StoredTask, Owner]:
    task = StoredTask(*row[:7])
    return task, Owner(task.user_id, row[7], row[8])


async def lock(session: WriteSession, task_id: int) -> StoredTask | None:
    """The task as it is, held until the transaction ends, so that what is decided on it still holds when it is written."""
    row = await session.first(sa.select(*_TASK).where(Task.id == task_id).with_for_update())
    return None if row is None else StoredTask(*row)


async def update(session: WriteSession, task_id: int, changes: dict[str, Any]) -> StoredTask:
    # Two updates within one millisecond must not share a moment: the entity tag is made of it.
    later = sa.func.greatest(sa.func.clock_timestamp(), Task.updated_at + timedelta(milliseconds=1))
    row = await session.returning(
        sa.update(Task).where(Task.id == task_id).values(**changes, updated_at=later).returning(*_TASK)
    )
    if row is None:  # pragma: no cover
        raise RuntimeError("a locked task is gone")
    return StoredTask(*row)


async def delete(session: WriteSession, task_id: int) -> None:
    await session.execute(sa.delete(Task).where(Task.id == task_id))


async def stats(session: ReadSession, user_id: UserId, week: datetime) -> tuple[dict[str, int], int]:
    """Tasks by status, and how many were completed since ``week``."""
    recent = sa.func.count().filter(Task.updated_at >= week)
    rows = await session.all(
        sa.select(Task.status, sa.func.count(), recent).where(Task.user_id == user_id).group_by(Task.status)
    )
    return {row[0]: row[1] for row in rows}, sum(row[2] for row in rows if row[0] == "COMPLETED")


async def newest_of_owner(session: ReadSession, user_id: int) -> Sequence[StoredTask]:
    """At most :data:`MOST_OF_OWNER`."""
    rows = await session.all(
        sa.select(*_TASK)
        .where(Task.user_id == user_id)
        .order_by(Task.created_at.desc(), Task.id.desc())
        .limit(MOST_OF_OWNER)
    )
    return [StoredTask(*row) for row in rows]


async def count_by_owner(session: ReadSession, user_ids: Sequence[int]) -> dict[int, int]:
    """Users without tasks are absent."""
    rows = await session.all(
        sa.select(Task.user_id, sa.func.count()).where(Task.user_id.in_(user_ids)).group_by(Task.user_id)
    )
    return {row[0]: row[1] for row in rows}


async def count_by_status(session: ReadSession) -> dict[str, int]:
    rows = await session.all(sa.select(Task.status, sa.func.count()).group_by(Task.status))
    return {row[0]: row[1] for row in rows}


def owners_active_since(moment: datetime) -> sa.Select[int]:
    """A statement of user ids, for the directory to combine with its own."""
    return sa.select(Task.user_id).where(Task.updated_at >= moment)
