"""The peer of the uncached figures: the task service as a competent developer writes it without thinking about speed.

It follows the FastAPI and SQLAlchemy documentation and is not made slow on purpose. A session per request comes from
`Depends(yield)`; every request verifies its ES256 token and loads the user it names; lists load ORM entities with one
query for the page and one for the count; `response_model` makes the body. Wherever a choice was open it favours the
peer: pooled psycopg 3 connections (as many as the product has), uvloop, httptools, the expiry of loaded rows off, no
debug, no access log, no CORS, no limits, no metrics, no tracing, no ETag, no pre-ping. So a ratio against it is a
lower bound.

Bodies equal the contract's for the four routes it has; failures carry `success` and `message` only. It reads the
tables of the product and never changes their shape. Settings: PEER_DATABASE_URL (postgresql://...), PEER_POOL_SIZE,
PEER_TOKENS_KEY (path of a PEM key, ES256), PEER_TOKENS_ISSUER, PEER_TOKENS_AUDIENCE, PEER_HOST, PEER_PORT.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from math import ceil
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.telemetry import TelemetryConfig
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, PlainSerializer, StringConstraints
from pydantic.alias_generators import to_camel
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

T = TypeVar("T")
# As in the product. Else the peer would grow slower by itself on the day that an OpenTelemetry SDK is installed.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

# Tables


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: TIMESTAMP(timezone=True, precision=3)}  # noqa: RUF012 (SQLAlchemy's own form)


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    user: Mapped[User] = relationship()


# Bodies


class Status(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


def to_milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(to_milliseconds)]


class Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class NewTask(Schema):
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=100)]
    description: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] | None = None
    status: Status = Status.PENDING


class TaskOut(Schema):
    id: int
    title: str
    description: str | None
    status: Status
    user_id: int
    created_at: Moment
    updated_at: Moment


class OwnerOut(Schema):
    id: int
    name: str
    email: str


class TaskDetailOut(TaskOut):
    user: OwnerOut


class Pagination(Schema):
    current_page: int
    total_pages: int
    total_tasks: int
    limit: int


class Profile(Schema):
    id: int
    email: str
    name: str
    role: str


class TaskList(Schema):
    tasks: list[TaskOut]
    pagination: Pagination


class OneTask(Schema):
    task: TaskDetailOut


class OneUser(Schema):
    user: Profile


class Answer(Schema, Generic[T]):
    success: bool = True
    data: T


class MessageAnswer(Answer[T], Generic[T]):
    message: str


# Dependencies


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
bearer = HTTPBearer(auto_error=False)


async def get_current_user(
    request: Request, session: Session, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> User:
    if credentials is None:
        raise HTTPException(401, "Not authenticated")
    try:
        token = jwt.decode(credentials.credentials, request.app.state.key, algorithms=["ES256"])
        request.app.state.claims.validate(token.claims)
        user = await session.get(User, int(token.claims["sub"]))
    except (JoseError, ValueError) as error:
        raise HTTPException(401, "Invalid or expired token") from error
    if user is None:
        raise HTTPException(401, "Invalid or expired token")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


# Routes

router = APIRouter(prefix="/api/v1")


@router.get("/auth/me", response_model=Answer[OneUser])
async def me(user: CurrentUser) -> dict[str, object]:
    return {"data": {"user": user}}


@router.get("/tasks", response_model=Answer[TaskList])
async def list_tasks(
    user: CurrentUser,
    session: Session,
    status: Status | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> dict[str, object]:
    conditions = [Task.user_id == user.id]
    if status is not None:
        conditions.append(Task.status == status)
    total = await session.scalar(select(func.count()).select_from(Task).where(*conditions)) or 0
    tasks = await session.scalars(
        select(Task)
        .where(*conditions)
        .order_by(Task.created_at.desc(), Task.id.desc())
        .offset((page - 1) * limit)
        .limit(limit)
    )
    pagination = Pagination(current_page=page, total_pages=ceil(total / limit), total_tasks=total, limit=limit)
    return {"data": {"tasks": tasks.all(), "pagination": pagination}}


@router.post("/tasks", status_code=201, response_model=MessageAnswer[OneTask])
async def create_task(user: CurrentUser, session: Session, body: NewTask) -> dict[str, object]:
    task = Task(**body.model_dump(), user=user)
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return {"message": "Task created successfully", "data": {"task": task}}


@router.get("/tasks/{task_id}", response_model=Answer[OneTask])
async def get_task(user: CurrentUser, session: Session, task_id: int) -> dict[str, object]:
    task = await session.scalar(select(Task).where(Task.id == task_id).options(joinedload(Task.user)))
    if task is None:
        raise HTTPException(404, "Task not found")
    if task.user_id != user.id and user.role != "ADMIN":
        raise HTTPException(403, "You do not have access to this task")
    return {"data": {"task": task}}


# Application


async def on_http_error(_request: Request, error: Exception) -> JSONResponse:
    status, message = (
        (error.status_code, error.detail) if isinstance(error, HTTPException) else (400, "Invalid request")
    )
    return JSONResponse({"success": False, "message": message}, status)


def create_app(environment: Mapping[str, str] = os.environ) -> FastAPI:
    """A uvicorn factory. KeyError for a setting that is missing; the key file must exist."""
    url = make_url(environment["PEER_DATABASE_URL"]).set(drivername="postgresql+psycopg")
    engine = create_async_engine(url, pool_size=int(environment["PEER_POOL_SIZE"]), max_overflow=0)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(title="Naive task service", lifespan=lifespan, telemetry=NO_TELEMETRY)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    app.state.key = ECKey.import_key(Path(environment["PEER_TOKENS_KEY"]).read_bytes())
    app.state.claims = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": environment.get("PEER_TOKENS_ISSUER", "tasks")},
        aud={"essential": True, "value": environment.get("PEER_TOKENS_AUDIENCE", "tasks-api")},
        sub={"essential": True},
        exp={"essential": True},
    )
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_http_error)
    app.include_router(router)
    return app


def main() -> None:
    uvicorn.run(
        create_app(),
        host=os.environ.get("PEER_HOST", "127.0.0.1"),
        port=int(os.environ["PEER_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
