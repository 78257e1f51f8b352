"""Hits as bytes for the wire: what lies ready in the process is sent before there is a scope, a task or a message.
And so is the refusal of who was told to wait, and did not.

A server spends more on carrying a request into an application and its answer out than a hit costs. So a hit is answered
where its head has been parsed. Everything here is what ``Edge`` and ``Layer`` do for the same request, without waiting;
whoever is not known, has nothing left or must be told otherwise takes the way through them, and gets the same answer.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from time import monotonic, perf_counter
from typing import Final
from urllib.parse import unquote

from service.kit import logs, problems, telemetry
from service.kit.cache.layer import Rule, has, target_key
from service.kit.cache.store import Store
from service.kit.cache.tier import lines_of
from service.kit.cors import Cors
from service.kit.edge import NO_STORE, POLICY, REQUEST_ID, SECURITY
from service.kit.limits.limiter import Lease, Limiter, lines_of_lease
from service.kit.tokens import Tokens
from service.kit.tracing import Tracing

_FINISH: Final = lines_of((*SECURITY, POLICY))
_REFUSED: Final = lines_of((*SECURITY, POLICY, NO_STORE))
_HEADS: Final = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


class Hits:
    """Asks nobody and raises nothing: every doubt is a None."""

    def __init__(
        self,
        store: Store,
        rules: Iterable[Rule],
        *,
        tokens: Tokens,
        cors: Cors,
        limiter: Limiter | None,
        tracing: Tracing | None,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._cors = cors
        self._limiter = limiter
        self._tracing = tracing
        self._routes = {rule.kind: rule.route for rule in rules}

    def answer(self, target: bytes, headers: Mapping[bytes, bytes], server: bytes) -> bytes | None:
        """To a GET without a body. ``target`` as it was sent, header names in lower case, ``server`` the lines that the
        server adds to each answer.
        """
        begun = perf_counter()
        authorization = headers.get(b"authorization")
        principal = self._tokens.known(authorization) if authorization is not None else None
        if principal is None:
            return None
        lease = None
        if self._limiter is not None:
            lease = self._limiter.of_reader(principal.user_id)
            if lease is None:
                return None
            if lease.tokens <= 0:
                return self._refused(self._limiter, lease, target, headers, server, principal.user_id)
        answer = self._store.find(principal.user_id, target_key(principal, target))
        if answer is None or answer.stale_at <= monotonic():
            return None
        limits = b""
        if lease is not None:
            lease.tokens -= 1
            limits = lines_of_lease(lease)
        self._store.count(answer)
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        trace_id = telemetry.trace_id_of(traceparent)
        request_id = request_id_of(headers, trace_id)
        origin = headers.get(b"origin")
        granted = self._cors.lines(origin) if origin is not None else b""
        condition = headers.get(b"if-none-match")
        status, content, body = 200, answer.content, answer.body
        if condition is not None and has(condition, answer):
            status, content, body = 304, b"", b""
        sent = b"%b%b%b%b%b%b%bx-request-id: %b\r\n\r\n%b" % (
            _HEADS[status], server, answer.lines, content, _FINISH, granted, limits, request_id, body,
        )  # fmt: skip
        route, duration_s = self._routes[answer.kind], perf_counter() - begun
        telemetry.observe_request(route, "GET", status, duration_s)
        logs.request(route, "GET", status, duration_s, principal.user_id, trace_id, request_id.decode())
        if self._tracing is not None and self._tracing.samples(traceparent):
            self._tracing.hit(trace_id, traceparent, route, status, duration_s)
        return sent

    def _refused(
        self, limiter: Limiter, lease: Lease, target: bytes, headers: Mapping[bytes, bytes], server: bytes, user_id: int
    ) -> bytes | None:
        """Who has been told to wait and knocks on: a flood must cost least where it is refused. It is not traced, but
        for a caller who wants it.
        """
        begun = perf_counter()
        if b"traceparent" in headers or not target.startswith(b"/"):
            return None
        problem = limiter.refusal(lease, target)
        if problem is None:
            return None
        trace_id = telemetry.new_id()
        request_id = request_id_of(headers, trace_id)
        origin = headers.get(b"origin")
        # What is kept says itself that it varies.
        granted = b"vary: Origin\r\n" + self._cors.lines(origin) if origin is not None else b""
        path = unquote(target.partition(b"?")[0].decode("ascii", "replace"))
        response = problems.render(problem, path=path, trace_id=trace_id)
        sent = b"HTTP/1.1 %d %b\r\n%b%b%b%bx-request-id: %b\r\n\r\n%b" % (
            problem.status, HTTPStatus(problem.status).phrase.encode(), server, lines_of(response.raw_headers),
            _REFUSED, granted, request_id, bytes(response.body),
        )  # fmt: skip
        route, code, duration_s = telemetry.UNMATCHED, problem.code, perf_counter() - begun
        telemetry.observe_request(route, "GET", problem.status, duration_s)
        logs.request(route, "GET", problem.status, duration_s, user_id, trace_id, request_id.decode(), code)
        return sent


def request_id_of(headers: Mapping[bytes, bytes], trace_id: str) -> bytes:
    given = headers.get(b"x-request-id")
    return given if given is not None and REQUEST_ID.fullmatch(given) else trace_id.encode()
