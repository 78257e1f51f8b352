"""Composition: the only module that knows every room."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Scope

from service import __version__, health, openapi
from service.auth import routes as auth
from service.kit import logs, problems, tracing, upkeep, validation
from service.kit.access import Parts
from service.kit.answers import answer
from service.kit.cache.hits import Hits
from service.kit.cache.layer import Layer, Rule, Rules
from service.kit.cache.store import Store
from service.kit.cancellation import give_up
from service.kit.cors import Cors
from service.kit.db import Database
from service.kit.edge import Edge, context_of
from service.kit.keys import KeyFolder
from service.kit.limits.address import Addresses
from service.kit.limits.limiter import Limiter, Policies
from service.kit.limits.policy import Policy, Quota
from service.kit.paging import Cursors
from service.kit.passwords import Passwords
from service.kit.problems import Problem
from service.kit.revocations import Revocations
from service.kit.strict import StrictRoute
from service.kit.telemetry import UNMATCHED, Gauges
from service.kit.tokens import Tokens
from service.kit.valkey import Call, Valkey
from service.settings import Settings
from service.tasks import routes as tasks
from service.users import routes as users

BASE_PATH: Final = "/api/v1"

# Each room with its routers under the base path and those at the root.
_ROOMS: Final[dict[str, tuple[tuple[APIRouter, ...], tuple[APIRouter, ...]]]] = {
    "auth": ((auth.router,), (auth.public,)),
    "users": ((users.router,), ()),
    "tasks": ((tasks.router,), ()),
}

# Answers that only their own user's writes change; and the dashboard, whose second of age no writer can notice.
_KEPT: Final = {
    "tasks": (Rule("page", f"{BASE_PATH}/tasks"), Rule("task", f"{BASE_PATH}/tasks/{{id}}")),
    "auth": (Rule("profile", f"{BASE_PATH}/auth/me"),),
    # They read the whole table: within their second where that is quick, and never more than 0.5 % of the time.
    "users": (Rule("statistics", f"{BASE_PATH}/users/stats", fresh_s=0.5, stale_s=0.5, rest=200),),
}

log = structlog.get_logger()


class UnknownRoomError(ValueError):
    """The settings name a room that there is not; the message lists those that there are."""


class Running(BaseModel):
    message: str = "Task Manager API"
    version: str = __version__
    status: str = "running"


def build_parts(settings: Settings) -> Parts:
    """Connects to nothing: a process starts, and tells that it is not ready, while the database is away."""
    folder = KeyFolder(settings.tokens.folder)
    db = Database(settings.database)
    revocations = Revocations(db, settings.tokens.lifetime_s)
    store = Store(settings.cache)
    valkey = None
    if settings.valkey.url is not None:
        valkey = Valkey(
            settings.valkey,
            on_invalid=store.invalid,
            on_message=lambda _: revocations.nudged.set(),
            on_connect=store.settle,
            on_lost=store.forget,
        )
        store.attach(valkey)
        revocations.tell_others_by(lambda: valkey.cast(("PUBLISH", settings.valkey.channel, "read")))
    # The cache trusts what it has only while nothing unread lies on its connection, so the replies that the limits wait
    # for come on another.
    counting = None
    if settings.valkey.url is not None and settings.limits.on:
        counting = Valkey(
            settings.valkey,
            on_invalid=lambda _: None,
            on_message=lambda _: None,
            on_connect=_nothing_owed,
            on_lost=lambda: None,
        )
    return Parts(
        settings=settings,
        db=db,
        folder=folder,
        revocations=revocations,
        store=store,
        valkey=valkey,
        counting=counting,
        tracing=tracing.configured(),
        tokens=Tokens(settings.tokens, folder, revocations),
        passwords=Passwords(settings.passwords),
        cursors=Cursors(folder.derive("cursors")),
        fingerprints=folder.derive("idempotency fingerprints"),
    )


async def _nothing_owed(_: Call) -> None:
    """For a connection that promises nobody anything."""


def create_app(settings: Settings) -> ASGIApp:
    """The whole service as one ASGI application, with the rooms that the settings name."""
    api = create_api(settings)
    api.state.parts = build_parts(settings)
    return wrapped(api, settings).app


def create_api(settings: Settings) -> FastAPI:
    """The routes alone. To answer requests it needs ``state.parts`` and its edge."""
    api = FastAPI(
        title="Task Manager API",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },  # the edge has its own, at a fraction of the cost
    )
    api.state.draining = False
    api.router.route_class = StrictRoute
    for name in settings.rooms.names:
        if name not in _ROOMS:
            raise UnknownRoomError(f"TASKS_ROOMS_NAMES: {name} is not a room; there are {', '.join(_ROOMS)}")
        under_base, at_root = _ROOMS[name]
        for router in under_base:
            api.include_router(router, prefix=BASE_PATH)
        for router in at_root:
            api.include_router(router)
    api.include_router(health.router)
    api.add_api_route("/", _running, response_model=Running, tags=["health"])
    api.add_api_route(BASE_PATH, _running, response_model=Running, tags=["health"], include_in_schema=False)
    if settings.http.docs:
        api.add_api_route("/docs", openapi.docs_page, include_in_schema=False)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(Exception, _on_failure)
    openapi.describe(api)
    return api


class Wrapped(NamedTuple):
    """``hits`` answers some requests before they reach ``app``, with the same answers; None where nothing is kept."""

    app: ASGIApp
    hits: Hits | None


def wrapped(api: FastAPI, settings: Settings) -> Wrapped:
    """CORS stands outside the edge, so that a browser may read the edge's own refusals too."""
    parts: Parts = api.state.parts
    kept = _kept(settings)
    layer = Layer(api, parts.store, Rules(kept)) if parts.valkey else None
    limiter = _limiter(settings, parts.counting) if settings.limits.on else None
    tokens, tracing = parts.tokens, parts.tracing
    edge = Edge(layer or api, settings.http, _route_of(api), tokens=tokens, limiter=limiter, tracing=tracing)
    cors = Cors(edge, settings.cors.origins)
    if layer is None:
        return Wrapped(cors, None)
    hits = Hits(parts.store, kept.values(), tokens=tokens, cors=cors, limiter=limiter, tracing=tracing)
    return Wrapped(cors, hits)


def _limiter(settings: Settings, valkey: Valkey | None) -> Limiter:
    limits = settings.limits

    def open_policy(name: str, quota: Quota) -> Policy:
        return Policy(name, quota, allowance=quota.allowance(limits.processes))

    policies = Policies(
        credentials=Policy("credentials", limits.credentials, closed=True),
        read=open_policy("read", limits.read),
        write=open_policy("write", limits.write),
        anonymous=open_policy("anonymous", limits.anonymous),
        credential_paths=frozenset({f"{BASE_PATH}/auth/login", f"{BASE_PATH}/auth/register"}),
        exempt_paths=frozenset({"/health/live", "/health/ready"}),
    )
    return Limiter(policies, Addresses(settings.http.trusted_proxies, settings.http.proxy_hops), valkey)


def _kept(settings: Settings) -> dict[str, Rule]:
    """What is kept of which room, by whole template."""
    rules = [rule for name in settings.rooms.names for rule in _KEPT.get(name, ())]
    return {rule.route: rule for rule in rules}


@contextlib.asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    parts: Parts = api.state.parts
    gauges = Gauges(parts.db.pools, lambda: parts.revocations.age_s)
    gauges.register()
    with contextlib.suppress(problems.Unavailable):
        await parts.revocations.refresh()
    poll_s = parts.settings.tokens.revocation_poll_s
    work = [
        asyncio.create_task(upkeep.listen(parts.revocations, parts.folder, poll_s)),
        asyncio.create_task(upkeep.purge(parts.db)),
        *[asyncio.create_task(valkey.maintain()) for valkey in (parts.valkey, parts.counting) if valkey is not None],
    ]
    try:
        yield
    finally:
        for task in work:
            give_up(task)
        await asyncio.gather(*work, return_exceptions=True)
        gauges.unregister()
        logs.flush()
        parts.passwords.close()
        if parts.tracing is not None:
            await asyncio.to_thread(parts.tracing.close)
        await parts.db.close()


async def _running() -> Response:
    """What runs here; without the envelope, as the old backend had it."""
    return answer(Running())


async def _on_http(request: Request, error: Exception) -> Response:
    """Our own problems as they are; the framework's refusals as the problem of their status."""
    if not isinstance(error, Problem):
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        other = problems.InternalError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else problems.ValidationFailed
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": _allowed(request.app, request.scope["path"])}
        error = problems.BY_STATUS.get(status, other)(headers=headers)
    return _problem(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    findings = error.errors() if isinstance(error, RequestValidationError) else []
    return _problem(request, validation.failed(findings))


async def _on_failure(request: Request, _: Exception) -> Response:
    """Starlette raises the exception again behind this answer; the edge logs it there."""
    return _problem(request, problems.InternalError())


def _problem(request: Request, problem: Problem) -> Response:
    context = context_of(request.scope)
    context.code = problem.code
    return problems.render(problem, path=request.scope["path"], trace_id=context.trace_id)


def _templates(api: FastAPI) -> Iterator[tuple[Any, str, frozenset[str]]]:
    """Each route with its whole template and methods. ``route.path`` alone lacks the prefix of its router."""
    for context in iter_route_contexts(api.routes):
        path = getattr(context, "path", None)
        if isinstance(path, str):
            yield context.original_route, path, frozenset(getattr(context, "methods", None) or ())


def _route_of(api: FastAPI) -> Callable[[Scope], str]:
    """The template of the route that took a request, for metrics and logs: never a path, which clients choose."""
    paths = {id(route): path for route, path, _ in _templates(api)}

    def route_of(scope: Scope) -> str:
        return paths.get(id(scope.get("route")), UNMATCHED)

    return route_of


def _allowed(api: FastAPI, path: str) -> str:
    """Every method that a path takes; Starlette names those of the first route that fits."""
    methods = [methods for _, template, methods in _templates(api) if compile_path(template)[0].match(path)]
    return ", ".join(sorted(frozenset().union(*methods)))
