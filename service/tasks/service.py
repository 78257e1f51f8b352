"""Decisions on tasks: whose they are, what counts as completed, which page comes next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Counter

from service.kit.answers import CursorPagination, iso_ms
from service.kit.db import ReadSession, UserId, WriteSession
from service.kit.paging import Cursors, total_pages
from service.kit.tokens import Principal
from service.tasks import repository
from service.tasks.errors import NotYourTask, TaskNotFound
from service.tasks.models import Owner, Task
from service.tasks.schemas import CreateTask, ListTasks, StatusCounts, TasksPagination, TaskStats, UpdateTask

CREATED = Counter("tasks_created", "Tasks created.")
COMPLETED = Counter("tasks_completed", "Tasks that became COMPLETED.")

_COMPLETED = "COMPLETED"


async def page(session: ReadSession, user_id: UserId, query: ListTasks) -> tuple[list[Task], TasksPagination]:
    number = query.page or 1
    total, tasks = await repository.page(
        session,
        user_id,
        status=query.status,
        q=query.q,
        sort=query.sort,
        limit=query.limit,
        offset=(number - 1) * query.limit,
    )
    pagination = TasksPagination(
        current_page=number, total_pages=total_pages(total, query.limit), total_tasks=total, limit=query.limit
    )
    return tasks, pagination


async def walk(
    session: ReadSession, cursors: Cursors, user_id: UserId, query: ListTasks
) -> tuple[list[Task], CursorPagination]:
    """Raises ValidationFailed for a cursor of another list."""
    context = ("tasks", user_id, query.status, query.q, query.sort)
    position = cursors.open(query.cursor, context) if query.cursor else None
    found = await repository.after(
        session,
        user_id,
        status=query.status,
        q=query.q,
        sort=query.sort,
        limit=query.limit + 1,  # one more tells whether there is a next page
        position=position,
    )
    tasks = found[: query.limit]
    more = len(found) > query.limit
    next_cursor = cursors.seal(_position(tasks[-1], query.sort), context) if more else None
    return tasks, CursorPagination(next_cursor=next_cursor, limit=query.limit)


def _position(task: Task, sort: str) -> tuple[Any, ...]:
    column = sort.removeprefix("-")
    value = {"title": task.title, "createdAt": iso_ms(task.created_at), "updatedAt": iso_ms(task.updated_at)}[column]
    return value, task.id


async def read(session: ReadSession, principal: Principal, task_id: int) -> tuple[Task, Owner]:
    """For its owner and for administrators."""
    found = await repository.with_owner(session, task_id)
    if found is None:
        raise TaskNotFound
    if found[0].user_id != principal.user_id and principal.role != "ADMIN":
        raise NotYourTask
    return found


async def create(session: WriteSession, user_id: UserId, body: CreateTask) -> tuple[Task, Owner]:
    made = await repository.insert(session, user_id, title=body.title, description=body.description, status=body.status)
    session.after_commit(CREATED.inc)
    if body.status == _COMPLETED:
        session.after_commit(COMPLETED.inc)
    return made


async def own(session: WriteSession, user_id: UserId, task_id: int) -> Task:
    """The caller's task, locked for what follows. Not even an administrator writes another's task."""
    task = await repository.lock(session, task_id)
    if task is None:
        raise TaskNotFound
    if task.user_id != user_id:
        raise NotYourTask
    return task


async def update(session: WriteSession, task: Task, body: UpdateTask) -> Task:
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    updated = await repository.update(session, replace(task, **changes))
    if updated.status == _COMPLETED != task.status:
        session.after_commit(COMPLETED.inc)
    return updated


async def delete(session: WriteSession, task: Task) -> None:
    await repository.delete(session, task.id)


async def stats(session: ReadSession, user_id: UserId) -> TaskStats:
    by_status, completed = await repository.stats(session, user_id, week=datetime.now(UTC) - timedelta(days=7))
    return TaskStats(
        total=sum(by_status.values()),
        by_status=StatusCounts.model_validate(by_status),
        completed_last7_days=completed,
    )
