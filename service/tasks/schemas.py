from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import to_json

from service.kit.answers import Body, CursorPagination, Id, Text, Timestamp, Wire, iso_ms
from service.kit.paging import Limit, Page
from service.tasks.models import Task

Status = Literal["PENDING", "IN_PROGRESS", "COMPLETED"]
Sort = Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt", "title", "-title"]
Title = Annotated[Text, StringConstraints(min_length=3, max_length=100), Field(examples=["Write the report"])]
Description = Annotated[Text, StringConstraints(max_length=500), Field(examples=["Two pages, with figures"])]


class CreateTask(Body):
    title: Title
    description: Description | None = None
    status: Status = "PENDING"


def _without_defaults(schema: dict[str, Any]) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)


class UpdateTask(Body):
    """Members left out keep their value; ``description`` may be set to null."""

    # The defaults below are never used, and no client shall read them as what it gets for a member left out.
    model_config = ConfigDict(json_schema_extra=_without_defaults)

    title: Title = ""
    description: Description | None = None
    status: Status = "PENDING"


class ListTasks(BaseModel):
    """``cursor=`` with no value starts a walk by cursor; without it, pages are numbered."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    page: Page | None = Field(default=None, description="From 1, by default 1; not together with cursor.")
    limit: Limit = 10
    q: Annotated[Text, StringConstraints(max_length=100)] = Field(
        default="", description="Part of a title or description, in any case."
    )
    sort: Sort = "-createdAt"
    cursor: str | None = Field(default=None, max_length=1024, description="Empty to start, then each nextCursor.")

    @model_validator(mode="after")
    def _one_way_to_walk(self) -> Self:
        if self.cursor is not None and self.page is not None:
            raise ValueError("Page and cursor cannot be given together")
        return self


class OwnerOut(Wire):
    id: Id
    name: str
    email: str


class TaskOut(Wire):
    id: Id
    title: str
    description: str | None
    status: Status
    user_id: Id
    created_at: Timestamp
    updated_at: Timestamp


class TaskWithOwner(TaskOut):
    user: OwnerOut


class OneTask(Wire):
    task: TaskOut


class OneTaskWithOwner(Wire):
    task: TaskWithOwner


class TasksPagination(Wire):
    current_page: int
    total_pages: int
    total_tasks: int
    limit: int


class TaskList(Wire):
    tasks: list[TaskOut]
    pagination: TasksPagination | CursorPagination


class StatusCounts(Wire):
    pending: int = Field(default=0, alias="PENDING")
    in_progress: int = Field(default=0, alias="IN_PROGRESS")
    completed: int = Field(default=0, alias="COMPLETED")


class TaskStats(Wire):
    total: int
    by_status: StatusCounts
    completed_last7_days: int = Field(alias="completedLast7Days")


def list_body(tasks: Sequence[Task], pagination: TasksPagination | CursorPagination) -> bytes:
    """The bytes of ``Data[TaskList]``, without building and validating a model for each task of the hottest read."""
    listed = [
        {
            "id": task.id,
            "title": task.title,
            "description": task.description,
            "status": task.status,
            "userId": task.user_id,
            "createdAt": iso_ms(task.created_at),
            "updatedAt": iso_ms(task.updated_at),
        }
        for task in tasks
    ]
    return to_json({"success": True, "data": {"tasks": listed, "pagination": pagination.model_dump(by_alias=True)}})
