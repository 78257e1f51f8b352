"""All SQL on users and their preferences."""

from datetime import datetime
from typing import Final

from psycopg.errors import UniqueViolation

from service.kit.db import ReadSession, WriteSession
from service.users.errors import EmailTaken
from service.users.models import Account, Preferences

_COLUMNS: Final = "id, email, name, password_hash, role, token_epoch, created_at, updated_at"


async def by_id(session: ReadSession, user_id: int) -> Account | None:
    row = await session.row(f"SELECT {_COLUMNS} FROM users WHERE id = %s", (user_id,))
    return None if row is None else Account(*row)


async def by_email(session: ReadSession, email: str) -> Account | None:
    row = await session.row(f"SELECT {_COLUMNS} FROM users WHERE email = %s", (email,))
    return None if row is None else Account(*row)


async def insert(session: WriteSession, *, email: str, name: str, password_hash: str, role: str) -> Account:
    """Raises :class:`EmailTaken`; the constraint decides, so that of two at once one fails."""
    query = f"INSERT INTO users (email, name, password_hash, role) VALUES (%s, %s, %s, %s) RETURNING {_COLUMNS}"
    try:
        [row] = await session.rows(query, (email, name, password_hash, role))
    except UniqueViolation as error:
        raise EmailTaken from error
    return Account(*row)


async def set_role(session: WriteSession, user_id: int, role: str) -> int | None:
    """The new token epoch, below which tokens carry the old role. None when there is no such user."""
    row = await session.row(
        """
        UPDATE users SET role = %s, token_epoch = token_epoch + 1, updated_at = now()
        WHERE id = %s RETURNING token_epoch
        """,
        (role, user_id),
    )
    return None if row is None else row[0]


async def delete(session: WriteSession, user_id: int) -> bool:
    return await session.row("DELETE FROM users WHERE id = %s RETURNING id", (user_id,)) is not None


async def page(session: ReadSession, *, limit: int, offset: int) -> tuple[int, list[tuple[Account, int]]]:
    """The total, and one page of accounts with the number of their tasks; of one moment, since in one statement."""
    rows = await session.rows(
        f"""
        SELECT counted.total, (SELECT count(*) FROM tasks WHERE user_id = u.id), u.*
        FROM (SELECT count(*) AS total FROM users) AS counted
        LEFT JOIN LATERAL (
            SELECT {_COLUMNS} FROM users ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s
        ) AS u ON true
        """,
        (limit, offset),
    )
    return rows[0][0], [(Account(*row[2:]), row[1]) for row in rows if row[2] is not None]


async def counts(session: ReadSession, *, week: datetime, today: datetime) -> tuple[int, int, int, dict[str, int]]:
    """All users, those registered since ``week``, those who registered or touched a task since ``today``, and all tasks
    by status; the tasks are read once.
    """
    [row] = await session.rows(
        """
        SELECT all_users.total, all_users.new, (
            SELECT count(*) FROM (
                SELECT id FROM users WHERE created_at >= %s UNION SELECT unnest(all_tasks.touched_by)
            ) AS active
        ), pending, in_progress, completed
        FROM (SELECT count(*) AS total, count(*) FILTER (WHERE created_at >= %s) AS new FROM users) AS all_users, (
            SELECT count(*) FILTER (WHERE status = 'PENDING') AS pending,
                count(*) FILTER (WHERE status = 'IN_PROGRESS') AS in_progress,
                count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
                array_agg(user_id) FILTER (WHERE updated_at >= %s) AS touched_by
            FROM tasks
        ) AS all_tasks
        """,
        (today, week, today),
    )
    return row[0], row[1], row[2], dict(zip(("PENDING", "IN_PROGRESS", "COMPLETED"), row[3:], strict=True))


async def preferences(session: ReadSession, user_id: int) -> Preferences | None:
    row = await session.row("SELECT theme, notify_email, page_size FROM preferences WHERE user_id = %s", (user_id,))
    return None if row is None else Preferences(*row)


async def hold(session: WriteSession, user_id: int) -> bool:
    """Until the transaction ends nobody else holds this user: what is read of them still holds when it is written."""
    return await session.row("SELECT id FROM users WHERE id = %s FOR NO KEY UPDATE", (user_id,)) is not None


async def save_preferences(session: WriteSession, user_id: int, new: Preferences) -> None:
    await session.execute(
        """
        INSERT INTO preferences (user_id, theme, notify_email, page_size) VALUES (%s, %s, %s, %s)
        ON CONFLICT (user_id) DO UPDATE SET theme = EXCLUDED.theme, notify_email = EXCLUDED.notify_email,
            page_size = EXCLUDED.page_size
        """,
        (user_id, new.theme, new.notify_email, new.page_size),
    )
