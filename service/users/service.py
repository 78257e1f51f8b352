"""Decisions on users: who may be deleted, what the dashboard counts, which preferences hold."""

import math
import time
from datetime import UTC, datetime, timedelta

from service.kit.db import ReadSession, UserId, WriteSession
from service.kit.paging import PageQuery, total_pages
from service.kit.problems import NotSignedIn, Unavailable
from service.kit.revocations import Revocations
from service.kit.tokens import Principal
from service.tasks import api as tasks
from service.users import repository
from service.users.errors import CannotDeleteYourself, UserNotFound
from service.users.models import Account, Preferences
from service.users.schemas import (
    ListedUser,
    NotificationsOut,
    PreferencesBody,
    PreferencesOut,
    TaskCount,
    TaskOfUser,
    UserDetail,
    UserList,
    UsersPagination,
    UserStats,
    UserWithTasks,
)


async def page(session: ReadSession, query: PageQuery) -> UserList:
    total, listed = await repository.page(session, limit=query.limit, offset=(query.page - 1) * query.limit)
    return UserList(
        users=[_listed(account, count) for account, count in listed],
        pagination=UsersPagination(
            current_page=query.page,
            total_pages=total_pages(total, query.limit),
            total_users=total,
            limit=query.limit,
        ),
    )


async def detail(session: ReadSession, user_id: int) -> UserDetail:
    """Raises :class:`UserNotFound`. At most 1,000 tasks, the newest."""
    account = await repository.by_id(session, user_id)
    if account is None:
        raise UserNotFound
    newest = await tasks.newest_of_owner(session, user_id)
    return UserDetail(
        user=UserWithTasks(
            id=account.id,
            email=account.email,
            name=account.name,
            role=account.role,
            created_at=account.created_at,
            tasks=[TaskOfUser.model_validate(task) for task in newest],
        )
    )


async def delete(session: WriteSession, revocations: Revocations, admin: Principal, user_id: int) -> None:
    """The user's tasks go with the row; the user's tokens die with the commit."""
    if user_id == admin.user_id:
        raise CannotDeleteYourself
    if not await repository.delete(session, user_id):
        raise UserNotFound
    await revocations.revoke_user(session, UserId(user_id))
    session.touched |= {UserId(user_id), admin.user_id}  # the administrator's numbers change too


class _Dear:
    """The last time that the counts took so long that the database gave up: then it is left alone for a while, since
    every try takes a core from those who read their tasks.
    """

    LONG_S = 1.0
    PAUSE_S = 60.0
    until = -math.inf


async def stats(session: ReadSession) -> UserStats:
    """Raises :class:`Unavailable` too while a table that is too large to count has its rest."""
    begun = time.monotonic()
    if begun < _Dear.until:
        raise Unavailable
    try:
        return await _stats(session)
    except Unavailable:
        if time.monotonic() - begun >= _Dear.LONG_S:
            _Dear.until = time.monotonic() + _Dear.PAUSE_S
        raise


async def _stats(session: ReadSession) -> UserStats:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    users, registered, active, by_status = await repository.counts(
        session, week=now - timedelta(days=7), today=midnight
    )
    return UserStats(
        total_users=users,
        total_tasks=sum(by_status.values()),
        tasks_by_status=tasks.StatusCounts.model_validate(by_status),
        registered_last7_days=registered,
        active_today=active,
    )


async def preferences(session: ReadSession, user_id: UserId) -> PreferencesOut:
    return _shown(await repository.preferences(session, user_id) or Preferences())


async def held_preferences(session: WriteSession, user_id: UserId) -> PreferencesOut:
    """Locked for what follows. Raises :class:`NotSignedIn` when the user is gone: their token outlives them by 2 s."""
    if not await repository.hold(session, user_id):
        raise NotSignedIn
    return await preferences(session, user_id)


async def save_preferences(session: WriteSession, user_id: UserId, body: PreferencesBody) -> PreferencesOut:
    """Of preferences that are held; what the body leaves out stays."""
    old = await repository.preferences(session, user_id) or Preferences()
    new = Preferences(
        theme=old.theme if body.theme is None else body.theme,
        notify_email=old.notify_email if body.notifications is None else body.notifications.email,
        page_size=old.page_size if body.page_size is None else body.page_size,
    )
    await repository.save_preferences(session, user_id, new)
    return _shown(new)


def _listed(account: Account, count: int) -> ListedUser:
    return ListedUser(
        id=account.id,
        email=account.email,
        name=account.name,
        role=account.role,
        created_at=account.created_at,
        count=TaskCount(tasks=count),
    )


def _shown(stored: Preferences) -> PreferencesOut:
    return PreferencesOut(
        theme=stored.theme, notifications=NotificationsOut(email=stored.notify_email), page_size=stored.page_size
    )
