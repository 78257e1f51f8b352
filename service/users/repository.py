"""All SQL on users and their preferences."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from service.kit.db import ReadSession, WriteSession, constraint_of
from service.tasks import api as tasks
from service.users.errors import EmailTaken
from service.users.models import Account, Preferences, StoredPreferences, User

_ACCOUNT = (
    User.id,
    User.email,
    User.name,
    User.password_hash,
    User.role,
    User.token_epoch,
    User.created_at,
    User.updated_at,
)


async def by_id(session: ReadSession, user_id: int) -> Account | None:
    row = await session.first(sa.select(*_ACCOUNT).where(User.id == user_id))
    return None if row is None else Account(*row)


async def by_email(session: ReadSession, email: str) -> Account | None:
    row = await session.first(sa.select(*_ACCOUNT).where(User.email == email))
    return None if row is None else Account(*row)


async def insert_user(session: WriteSession, *, email: str, name: str, password_hash: str, role: str) -> Account:
    """Raises :class:`EmailTaken`; the constraint decides, so that two at once cannot both win."""
    values = {"email": email, "name": name, "password_hash": password_hash, "role": role}
    try:
        row = await session.returning(
            sa.insert(User).values(values).returning(User.id, User.created_at, User.updated_at, User.token_epoch)
        )
    except IntegrityError as error:
        if constraint_of(error) == "users_email_key":
            raise EmailTaken from error
        raise
    if row is None:  # pragma: no cover
        raise RuntimeError("INSERT returned no row")
    return Account(
        id=row.id, **values, token_epoch=row.token_epoch, created_at=row.created_at, updated_at=row.updated_at
    )


async def set_role(session: WriteSession, user_id: int, role: str) -> int | None:
    """The new token epoch: tokens below it carry the old role. None when there is no such user."""
    row = await session.returning(
        sa.update(User)
        .where(User.id == user_id)
        .values(role=role, token_epoch=User.token_epoch + 1, updated_at=sa.func.now())
        .returning(User.token_epoch)
    )
    return None if row is None else row[0]


async def delete_user(session: WriteSession, user_id: int) -> bool:
    row = await session.returning(sa.delete(User).where(User.id == user_id).returning(User.id))
    return row is not None


async def page(session: ReadSession, *, limit: int, offset: int) -> Sequence[Account]:
    rows = await session.all(
        sa.select(*_ACCOUNT).order_by(User.created_at.desc(), User.id.desc()).limit(limit).offset(offset)
    )
    return [Account(*row) for row in rows]


async def count(session: ReadSession) -> int:
    row = await session.first(sa.select(sa.func.count()).select_from(User))
    return 0 if row is None else row[0]


async def count_since(session: ReadSession, week: datetime, today: datetime) -> tuple[int, int, int]:
    """All users, those registered since ``week``, and those who registered or touched a task since ``today``."""
    active = sa.select(User.id).where(User.created_at >= today).union(tasks.owners_active_since(today)).subquery()
    row = await session.first(
        sa.select(
            sa.func.count(),
            sa.func.count().filter(User.created_at >= week),
            sa.select(sa.func.count()).select_from(active).scalar_subquery(),
        ).select_from(User)
    )
    return (0, 0, 0) if row is None else (row[0], row[1], row[2])


async def preferences(session: ReadSession, user_id: int) -> StoredPreferences | None:
    columns = (Preferences.theme, Preferences.notify_email, Preferences.page_size)
    row = await session.first(sa.select(*columns).where(Preferences.user_id == user_id))
    return None if row is None else StoredPreferences(*row)


async def save_preferences(session: WriteSession, user_id: int, stored: StoredPreferences) -> None:
    """Raises IntegrityError when the user is gone."""
    values = asdict(stored)
    await session.execute(
        insert(Preferences)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )
