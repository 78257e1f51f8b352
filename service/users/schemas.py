from typing import Annotated, Literal

from pydantic import Field, StrictBool

from service.kit.answers import Body, Id, Timestamp, Wire
from service.tasks.api import Status, StatusCounts

Role = Literal["USER", "ADMIN"]
Theme = Literal["system", "light", "dark"]
Email = Annotated[str, Field(examples=["ada@example.com"])]
Name = Annotated[str, Field(examples=["Ada Lovelace"])]


class Profile(Wire):
    id: Id
    email: Email
    name: Name
    role: Role


class TaskCount(Wire):
    tasks: int


class ListedUser(Wire):
    id: Id
    email: Email
    name: Name
    role: Role
    created_at: Timestamp
    count: TaskCount = Field(alias="_count")


class UsersPagination(Wire):
    current_page: int
    total_pages: int
    total_users: int
    limit: int


class UserList(Wire):
    users: list[ListedUser]
    pagination: UsersPagination


class TaskOfUser(Wire):
    id: Id
    title: str
    description: str | None
    status: Status
    created_at: Timestamp


class UserWithTasks(Wire):
    id: Id
    email: Email
    name: Name
    role: Role
    created_at: Timestamp
    tasks: list[TaskOfUser]


class UserDetail(Wire):
    user: UserWithTasks


class Notifications(Body):
    email: StrictBool


class PreferencesBody(Body):
    """Members left out keep their value."""

    theme: Theme | None = None
    notifications: Notifications | None = None
    page_size: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None


class NotificationsOut(Wire):
    email: bool


class PreferencesOut(Wire):
    theme: Theme = "system"
    notifications: NotificationsOut = NotificationsOut(email=True)
    page_size: int = 10


class PreferencesData(Wire):
    preferences: PreferencesOut


class UserStats(Wire):
    total_users: int
    total_tasks: int
    tasks_by_status: StatusCounts
    registered_last7_days: int = Field(alias="registeredLast7Days")
    active_today: int = Field(description="Users who registered, or created or changed a task, since midnight UTC.")
