"""What surrounds every request, before routing: identity, limits, the deadline, the metrics and the one log line."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.kit import logs, problems, telemetry, tracing
from service.kit.cancellation import give_up
from service.kit.db import WriteSession
from service.kit.limits.limiter import Lease, Limiter, headers_of
from service.kit.problems import (
    BodyTooLarge,
    DeadlineExceeded,
    HeadersTooLarge,
    InternalError,
    OutcomeUnknown,
    Problem,
    RequestTimeout,
    Unavailable,
)
from service.kit.tokens import Principal, Tokens
from service.kit.tracing import Sampled, Tracing
from service.settings import Http as HttpSettings

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
NO_STORE: Final = (b"cache-control", b"no-store")
CONTEXT: Final = "tasks.context"

log = structlog.get_logger()


class Context:
    """What one request learns on its way; the wide event at its end."""

    __slots__ = (
        "begun",
        "caller",
        "code",
        "failure",
        "keep",
        "lease",
        "reading",
        "request_id",
        "route",
        "sampled",
        "started",
        "status",
        "timed_out",
        "trace_id",
        "user_id",
        "write",
    )

    def __init__(self, request_id: str, trace_id: str) -> None:
        self.begun = perf_counter()
        self.request_id = request_id
        self.trace_id = trace_id
        self.route = telemetry.UNMATCHED
        self.status = 0
        self.code: str | None = None
        self.user_id: int | None = None
        self.write: WriteSession | None = None
        self.failure: BaseException | None = None
        self.caller: Principal | None = None  # known by a valid token; the routes check it for themselves
        self.lease: Lease | None = None
        self.sampled: Sampled | None = None
        self.keep = False  # whether the answer may be kept for its user
        self.reading = False  # whether the client's body is what is being waited for
        self.started = False
        self.timed_out = False


def context_of(scope: Scope) -> Context:
    context: Context = scope[CONTEXT]
    return context


class Edge:
    """The outermost layer. Answers 413, 431, 500 and the deadline's 408 or 503 itself; passes the rest on."""

    def __init__(
        self,
        app: ASGIApp,
        settings: HttpSettings,
        route_of: Callable[[Scope], str],
        *,
        tokens: Tokens,
        limiter: Limiter | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._route_of = route_of
        self._tokens = tokens
        self._limiter = limiter
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        sampled = self._tracing.begin(traceparent, scope["method"]) if self._tracing is not None else None
        trace_id = telemetry.trace_id_of(traceparent) if sampled is None else sampled.trace_id
        given = headers.get(b"x-request-id", b"")
        context = Context(given.decode() if REQUEST_ID.fullmatch(given) else trace_id, trace_id)
        context.sampled = sampled
        if sampled is None:
            await self._answer(scope, headers, receive, send, context)
            return
        with tracing.within(sampled):
            await self._answer(scope, headers, receive, send, context)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, context: Context
    ) -> None:
        if _head_bytes(scope) > self._settings.header_limit_bytes:
            await self._refuse(HeadersTooLarge(), scope, receive, _Reply(send, context))
            self._observe(scope, scope["method"], context)
            return
        context.caller = self._tokens.caller(headers.get(b"authorization"))
        if self._limiter is not None:
            user_id = context.caller.user_id if context.caller else None
            try:
                context.lease = await self._limiter.take(scope, user_id)
            except Problem as problem:
                context.user_id = user_id  # the one line about a flood says whose it is
                await self._refuse(problem, scope, receive, _Reply(send, context))
                self._observe(scope, scope["method"], context)
                return
        # Express, which the old clients were written against, takes a trailing slash and answers HEAD as GET.
        path = scope["path"]
        inner = {
            **scope,
            CONTEXT: context,
            "path": path.rstrip("/") or "/",
            "method": "GET" if scope["method"] == "HEAD" else scope["method"],
        }
        telemetry.ACTIVE_REQUESTS.inc()
        try:
            await self._guarded(inner, headers, receive, _Reply(send, context))
        finally:
            telemetry.ACTIVE_REQUESTS.dec()
            self._observe(inner, scope["method"], context)

    async def _guarded(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, reply: "_Reply") -> None:
        context = reply.context
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > self._settings.body_limit_bytes:
            await self._refuse(BodyTooLarge(), scope, receive, reply)
            return
        task = asyncio.current_task()
        deadline = asyncio.get_running_loop().call_later(
            self._settings.deadline_s, self._expire, task, scope, receive, reply
        )
        try:
            await self._app(scope, _bounded(receive, self._settings.body_limit_bytes, context), reply.send)
        except asyncio.CancelledError:
            if not context.timed_out:
                await self._cut_off(scope, receive, reply)
                raise
        except Exception as error:  # noqa: BLE001 (the last place that can still answer)
            context.failure = error
            if not context.started and not context.timed_out:
                await self._refuse(InternalError(), scope, receive, reply)
        finally:
            deadline.cancel()
            reply.end_cancelling(task)
        if reply.late is not None:
            await reply.late

    def _expire(self, task: asyncio.Task[Any] | None, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        """Answers at the deadline; the cancelled work may need seconds more to clean up behind a hung server."""
        reply.context.timed_out = True
        if not reply.context.started:
            reply.late = asyncio.ensure_future(self._refuse(_too_late(reply.context), scope, receive, reply))
        if task is not None:
            reply.second_cancel = give_up(task)

    async def _cut_off(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        """For a request that outlasts the grace of a stopping process: without this the server would say a bare 500."""
        if not reply.context.started:
            unknown = reply.context.write is not None and reply.context.write.committing
            await self._refuse(OutcomeUnknown() if unknown else Unavailable(), scope, receive, reply)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        context = reply.context
        context.code = problem.code
        response = problems.render(problem, path=scope["path"], trace_id=context.trace_id)
        await response(scope, receive, reply.refuse)

    def _observe(self, scope: Scope, method: str, context: Context) -> None:
        duration_s = perf_counter() - context.begun
        route = context.route if context.route != telemetry.UNMATCHED else self._route_of(scope)
        known_method = method if method in telemetry.METHODS else "_OTHER"
        telemetry.observe_request(route, known_method, context.status, duration_s)
        if context.sampled is not None:
            context.sampled.end(route, context.status)
        if context.failure is None:
            logs.request(
                route, known_method, context.status, duration_s, context.user_id, context.trace_id, context.request_id,
                context.code,
            )  # fmt: skip
            return
        log.error(
            "request",
            http_route=route,
            http_request_method=known_method,
            http_response_status_code=context.status,
            duration_ms=round(duration_s * 1000, 3),
            user_id=context.user_id,
            trace_id=context.trace_id,
            request_id=context.request_id,
            **({} if context.code is None else {"code": context.code}),
            **logs.failure(context.failure),
        )


def _too_late(context: Context) -> Problem:
    if context.reading:
        return RequestTimeout()
    if context.write is not None and context.write.committing:
        return OutcomeUnknown()
    return DeadlineExceeded()


class _Reply:
    """The way out: adds the headers that every answer has, and lets nothing through behind a deadline's answer."""

    __slots__ = ("_send", "context", "late", "second_cancel")

    def __init__(self, send: Send, context: Context) -> None:
        self._send = send
        self.context = context
        self.late: asyncio.Future[None] | None = None
        self.second_cancel: asyncio.TimerHandle | None = None

    def end_cancelling(self, task: asyncio.Task[Any] | None) -> None:
        if self.second_cancel is not None and task is not None:
            self.second_cancel.cancel()
            while task.cancelling():
                task.uncancel()

    async def send(self, message: Message) -> None:
        if not self.context.timed_out:
            await self.refuse(message)

    async def refuse(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.context.started = True
            self.context.status = message["status"]
            headers = list(message["headers"])
            names = {name for name, _ in headers}
            headers += SECURITY
            headers += _own_headers(self.context)
            if POLICY[0] not in names:
                headers.append(POLICY)
            if NO_STORE[0] not in names:
                headers.append(NO_STORE)
            message = {**message, "headers": headers}
        await self._send(message)


def _head_bytes(scope: Scope) -> int:
    head = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in scope["headers"]:
        head += len(name) + len(value) + 4
    return head


def _own_headers(context: Context) -> tuple[tuple[bytes, bytes], ...]:
    own = (b"x-request-id", context.request_id.encode())
    return (own,) if context.lease is None else (own, *headers_of(context.lease))


def _bounded(receive: Receive, limit_bytes: int, context: Context) -> Callable[[], Awaitable[Message]]:
    """Counts what really arrives: a chunked body announces no length. Raises :class:`BodyTooLarge` where it is read."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        context.reading = True
        message = await receive()
        context.reading = False
        received += len(message.get("body", b""))
        if received > limit_bytes:
            raise BodyTooLarge
        return message

    return bounded
