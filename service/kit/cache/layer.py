"""A private HTTP cache in front of routing: what a route has answered a user once, it need not answer again.

Correctness stays in the routes. An answer is kept only if its route says so (``context.keep``); whoever is not known
here, by token and address, goes on to the route. Most hits do not come as far as this: see ``hits``.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.kit import etags
from service.kit.cache.instruments import LOAD, MISSES, STALE
from service.kit.cache.store import Store
from service.kit.cache.tier import Answer, Shelf, is_content
from service.kit.edge import CONTEXT, Context
from service.kit.tokens import Principal
from service.kit.valkey import ValkeyGoneError

_OK: Final = 200
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_CONDITION: Final = b"if-none-match"
_ETAG: Final = b"etag"


@dataclass(frozen=True, slots=True)
class Rule:
    """How long answers of a route are kept: fresh for ``fresh_s``, then for ``stale_s`` while a newer one is loaded.

    Without ``fresh_s`` the setting holds and nothing is served stale: a writer could notice. With ``rest`` both are
    stretched until an answer is fresh for so many times as long as it took to load: what is dear is asked for seldom.
    """

    kind: str
    route: str
    fresh_s: float | None = None
    stale_s: float = 0.0
    rest: float = 0.0

    def times(self, took_s: float) -> tuple[float | None, float]:
        """Seconds that an answer is fresh, None for the setting's, and then served stale."""
        if self.fresh_s is None:
            return None, self.stale_s
        stretch = max(1.0, took_s * self.rest / self.fresh_s)
        return self.fresh_s * stretch, self.stale_s * stretch


class Rules:
    """By address; a template may end in one number."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._fixed = {path: rule for path, rule in rules.items() if not path.endswith("}")}
        self._numbered = {path.rpartition("/")[0]: rule for path, rule in rules.items() if path.endswith("}")}

    def of(self, path: str) -> Rule | None:
        rule = self._fixed.get(path)
        if rule is None:
            head, _, tail = path.rpartition("/")
            rule = self._numbered.get(head)
            if rule is None or not (tail.isascii() and tail.isdigit()):
                return None
        return rule


@dataclass(slots=True, eq=False)
class _Loading:
    """A load under way. Nothing is read for it before its shelf is known."""

    answer: asyncio.Future[Answer | None]
    shelf: Shelf | None = None


class Layer:
    def __init__(self, app: ASGIApp, store: Store, rules: Rules) -> None:
        self._app = app
        self._store = store
        self._rules = rules
        self._loading: dict[tuple[int, bytes], _Loading] = {}
        self._renewing: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._rules.of(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if rule is None or not self._store.on:
            await self._app(scope, receive, send)
            return
        context: Context = scope[CONTEXT]
        principal = context.caller
        if principal is None:
            await self._app(scope, receive, send)
            return
        key = key_of(principal, scope["path"], scope["query_string"])
        answer, capture = self._store.find(principal.user_id, key), None
        if answer is None:
            answer, capture = await self._shared(principal, key, rule, scope, receive)
        else:
            self._store.count(answer)
            if context.sampled is not None:
                context.sampled.child("cache", {"tasks.cache.tier": "process"}).end()
            if answer.stale_at <= time.monotonic():
                STALE.labels(answer.kind).inc()
                self._renew(scope, principal, key, rule)
        if answer is None and capture is None:
            await self._app(scope, receive, send)
            return
        context.user_id = principal.user_id
        context.route = rule.route
        condition = next((value for name, value in scope["headers"] if name == _CONDITION), None)
        for message in messages(answer, condition) if answer else capture.messages if capture else ():
            await send(message)

    async def _shared(
        self, principal: Principal, key: bytes, rule: Rule, scope: Scope, receive: Receive
    ) -> tuple[Answer | None, "_Capture | None"]:
        """One load at a time for a user's key; who comes meanwhile waits for its answer.

        An answer for all, or what the route said to this caller alone, or neither: then ask the route.
        """
        name = (principal.user_id, key)
        loading = None
        kept = None
        try:
            await self._store.catch_up()
            under_way = self._loading.get(name)
            # Who comes after a write must not wait for a load that read before it.
            if under_way is not None and (under_way.shelf is None or self._store.holds(under_way.shelf)):
                return await asyncio.shield(under_way.answer), None
            loading = self._loading[name] = _Loading(asyncio.get_running_loop().create_future())
            shelf = loading.shelf = await self._store.shelf(principal.user_id)
            kept = shelf.answers.get(key)
            if kept is None or kept.stale_at <= time.monotonic():
                kept = await self._store.fetch(shelf, key)
            if kept is not None:
                return kept, None
            answer, kept, capture = await self._load(shelf, key, rule, scope, receive)
        except ValkeyGoneError:
            return None, None
        else:
            return answer, capture
        finally:
            if loading is not None:
                self._loaded(name, loading, kept)

    async def _load(
        self, shelf: Shelf, key: bytes, rule: Rule, scope: Scope, receive: Receive
    ) -> tuple[Answer | None, Answer | None, "_Capture"]:
        """What the route answers this caller, and the same if it may be kept. Never raises for Valkey's sake."""
        begun = time.perf_counter()
        capture = _Capture()
        context: Context = scope[CONTEXT]
        context.keep = False
        # The condition of one caller must not become the answer of another.
        plain = [(name, value) for name, value in scope["headers"] if name != _CONDITION]
        try:
            await self._app({**scope, "headers": plain}, receive, capture.send)
        except BaseException:
            with contextlib.suppress(ValkeyGoneError):
                await self._store.leave(shelf, key)  # nobody else shall wait for this
            raise
        MISSES.labels(rule.kind).inc()
        took_s = time.perf_counter() - begun
        LOAD.labels(rule.kind).observe(took_s)
        answer = self._answer(rule, capture, took_s) if capture.status == _OK else None
        with contextlib.suppress(ValkeyGoneError):
            if answer is not None and context.keep:
                await self._store.keep(shelf, key, answer)
                return answer, answer, capture
            await self._store.leave(shelf, key)
        return answer, None, capture

    def _renew(self, scope: Scope, principal: Principal, key: bytes, rule: Rule) -> None:
        """Loads a newer answer beside the request that gets the stale one; one load at a time."""
        name = (principal.user_id, key)
        if name in self._loading:
            return
        loading = self._loading[name] = _Loading(asyncio.get_running_loop().create_future())

        async def renew() -> None:
            kept = None
            try:
                shelf = loading.shelf = await self._store.shelf(principal.user_id)
                inner = {**scope, CONTEXT: Context("", "")}
                _, kept, _ = await self._load(shelf, key, rule, inner, _nothing)
            except ValkeyGoneError:
                pass
            finally:
                self._loaded(name, loading, kept)

        task = asyncio.create_task(renew())
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    def _loaded(self, name: tuple[int, bytes], loading: _Loading, kept: Answer | None) -> None:
        if self._loading.get(name) is loading:
            del self._loading[name]
        loading.answer.set_result(kept)

    def _answer(self, rule: Rule, capture: "_Capture", took_s: float) -> Answer:
        fresh_s, stale_s = rule.times(took_s)
        fresh_until = self._store.expires_at(fresh_s)
        return Answer(
            kind=rule.kind,
            etag=dict(capture.headers).get(_ETAG, b""),
            headers=tuple(capture.headers),
            body=b"".join(capture.body),
            stale_at=fresh_until,
            expires_at=fresh_until + stale_s,
        )


class _Capture:
    """What a route sends, held back."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        else:
            self.body.append(message.get("body", b""))


def messages(answer: Answer, condition: bytes | None) -> tuple[Message, Message]:
    """200 with the body, or 304 when the caller has it."""
    if condition is not None and has(condition, answer):
        kept = [header for header in answer.headers if not is_content(header)]
        return {"type": _START, "status": 304, "headers": kept}, {"type": _BODY, "body": b""}
    return {"type": _START, "status": _OK, "headers": list(answer.headers)}, {"type": _BODY, "body": answer.body}


def has(condition: bytes, answer: Answer) -> bool:
    """Whether an If-None-Match says that the caller has it."""
    return condition == answer.etag or etags.names(
        condition.decode("latin-1"), answer.etag.decode("latin-1"), weak=True
    )


def key_of(principal: Principal, path: str, query: bytes) -> bytes:
    """A path that was escaped where it need not be has a key of its own, and finds nothing: it takes the long way."""
    return target_key(principal, b"%b?%b" % (path.encode(), query) if query else path.encode())


def target_key(principal: Principal, target: bytes) -> bytes:
    """With the epoch of the caller's role: whoever's role changed has other answers, though nobody wrote here."""
    return b"%d %b" % (principal.epoch, target)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
