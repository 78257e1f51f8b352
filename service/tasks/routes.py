from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.kit import etags
from service.kit.access import OwnRead, OwnWrite, SignedIn, parts_of
from service.kit.answers import Data, Done, DoneWith, answer, cacheable, to_bytes
from service.kit.idempotency import Idempotency, KeyHeader, KeyReused, StillRunning, replay
from service.kit.paging import Plain
from service.kit.problems import NotSignedIn, Stale, documented
from service.kit.strict import StrictRoute
from service.tasks import schemas, service
from service.tasks.errors import NotYourTask, TaskNotFound
from service.tasks.models import Owner, Task
from service.tasks.schemas import (
    CreateTask,
    ListTasks,
    OneTask,
    OneTaskWithOwner,
    OwnerOut,
    TaskList,
    TaskOut,
    TaskStats,
    TaskWithOwner,
    UpdateTask,
)

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=StrictRoute)

TaskPath = Annotated[int, Path(alias="id", ge=1, le=2**53 - 1, description="A task's id"), Plain]


@router.post(
    "",
    status_code=201,
    responses=documented(NotSignedIn, StillRunning, KeyReused),
    response_model=DoneWith[OneTaskWithOwner],
)
async def create_task(
    request: Request, me: SignedIn, session: OwnWrite, body: CreateTask, key: KeyHeader = None
) -> Response:
    """Creates a task of the caller's. With an Idempotency-Key it can be sent again without fear."""
    once = Idempotency(parts_of(request).fingerprints, session, f"{me.user_id} POST /tasks", key, body)
    if (first := await once.first_answer()) is not None:
        return replay(first, 201)
    task, owner = await service.create(session, me.user_id, body)
    made = DoneWith[OneTaskWithOwner](
        message="Task created successfully", data=OneTaskWithOwner(task=_with_owner(task, owner))
    )
    await once.store(made)
    return answer(made, 201, {"ETag": _etag(task), "Location": f"/api/v1/tasks/{task.id}"})


@router.get("", responses=documented(NotSignedIn), response_model=Data[TaskList])
async def list_tasks(
    request: Request, me: SignedIn, session: OwnRead, query: Annotated[ListTasks, Query()]
) -> Response:
    """The caller's tasks, newest first unless sorted otherwise."""
    if query.cursor is None:
        tasks, pagination = await service.page(session, me.user_id, query)
        return cacheable(request, schemas.list_body(tasks, pagination), keep=True)
    walked, next_page = await service.walk(session, parts_of(request).cursors, me.user_id, query)
    return cacheable(request, schemas.list_body(walked, next_page), keep=True)


@router.get("/stats", responses=documented(NotSignedIn), response_model=Data[TaskStats])
async def task_stats(request: Request, me: SignedIn, session: OwnRead) -> Response:
    """How many tasks the caller has, by status, and how many were completed in the last seven days."""
    return cacheable(request, to_bytes(Data(data=await service.stats(session, me.user_id))))


@router.get(
    "/{id}", responses=documented(NotSignedIn, NotYourTask, TaskNotFound), response_model=Data[OneTaskWithOwner]
)
async def read_task(request: Request, me: SignedIn, session: OwnRead, task_id: TaskPath) -> Response:
    """One task, for its owner and for administrators."""
    task, owner = await service.read(session, me, task_id)
    body = to_bytes(Data(data=OneTaskWithOwner(task=_with_owner(task, owner))))
    # What an administrator reads of others changes by writes of those others.
    return cacheable(request, body, _etag(task), keep=task.user_id == me.user_id)


@router.put(
    "/{id}",
    responses=documented(NotSignedIn, NotYourTask, TaskNotFound, Stale),
    response_model=DoneWith[OneTask],
)
async def update_task(
    request: Request, me: SignedIn, session: OwnWrite, task_id: TaskPath, body: UpdateTask
) -> Response:
    """Changes what is sent and keeps the rest. With If-Match, only if nobody changed it since."""
    task = await service.own(session, me.user_id, task_id)
    etags.require_match(request, _etag(task))
    updated = await service.update(session, task, body)
    changed = DoneWith[OneTask](message="Task updated successfully", data=OneTask(task=TaskOut.model_validate(updated)))
    return answer(changed, headers={"ETag": _etag(updated)})


@router.delete("/{id}", responses=documented(NotSignedIn, NotYourTask, TaskNotFound, Stale), response_model=Done)
async def delete_task(request: Request, me: SignedIn, session: OwnWrite, task_id: TaskPath) -> Response:
    """Deletes one of the caller's tasks."""
    task = await service.own(session, me.user_id, task_id)
    etags.require_match(request, _etag(task))
    await service.delete(session, task)
    return answer(Done(message="Task deleted successfully"))


def _with_owner(task: Task, owner: Owner) -> TaskWithOwner:
    shown = OwnerOut(id=owner.id, name=owner.name, email=owner.email)
    return TaskWithOwner(**asdict(task), user=shown)


def _etag(task: Task) -> str:
    """Made of what changes with every write, so that a write can check it without building the body."""
    return f'"{task.id:x}-{int(task.updated_at.timestamp() * 1000):x}"'
