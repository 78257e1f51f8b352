"""Decisions on users: who may be deleted, what the dashboard counts, which preferences hold."""

import math
import time
from collections.abc import Awaitable
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


class _Breaker:
    """A circuit breaker for the counts: open for a while after the database gave up on them, since every try takes a
    core from those who read their tasks. A refusal that came at once does not open it.
    """

    def __init__(self, *, slow_s: float, open_s: float) -> None:
        self.slow_s, self.open_s = slow_s, open_s
        self.open_until = -math.inf

    async def guard(self, load: Awaitable[UserStats]) -> UserStats:
        begun = time.monotonic()
        try:
            return await load
        except Unavailable:
            if time.monotonic() - begun >= self.slow_s:
                self.open_until = time.monotonic() + self.open_s
            raise


_breaker = _Breaker(slow_s=1.0, open_s=60.0)


async def stats(session: ReadSession) -> UserStats:
    """Raises :class:`Unavailable` too while the breaker is open."""
    if time.monotonic() < _breaker.open_until:
        raise Unavailable
    return await _breaker.guard(_stats(session))


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
