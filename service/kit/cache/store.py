"""Both tiers behind one door: the process's own, and Valkey's, which all processes share.

A user's answers belong to a generation, a random name in Valkey under ``tasks:g:<user>``. A write gives the user a new
one before its answer is sent, which ends every answer of the old one everywhere: in Valkey, since nobody looks under
the old name again; in each process, since Valkey tells all who asked for the name that it has changed.
"""

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections.abc import Iterable
from typing import Any, Final

import structlog
from pydantic_core import from_json, to_json

from service.kit.cache.instruments import HITS
from service.kit.cache.tier import Answer, Shelf, Tier
from service.kit.valkey import Call, Valkey, ValkeyGoneError
from service.settings import Cache as CacheSettings

# A generation outlives the answers that carry its name, so that a name is never given out twice while one is about.
_GENERATION_S: Final = 24 * 3600
_JITTER: Final = 0.2
# How long another process may take to load what we both miss, before we load it too.
_LOAD_LOCK_MS: Final = 2_000
_LOAD_WAIT_S: Final = 0.2
_LOAD_POLL_S: Final = 0.005
_MOST_OWED: Final = 100_000
_SETTLED_AT_ONCE: Final = 500
_TRIES: Final = 3

log = structlog.get_logger()


class _Asking:
    """A generation that was asked for and has not arrived; an invalidation can overtake it."""

    __slots__ = ("overtaken",)

    def __init__(self) -> None:
        self.overtaken = False


class Store:
    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._tier = Tier(settings.local_bytes)
        self._asking: dict[int, list[_Asking]] = {}
        # Users who wrote while Valkey was away: others may hold old answers of theirs, and have to be told. Until then
        # their generation is not asked for here. The number tells a second debt from the first.
        self._owed: dict[int, int] = {}
        self._debts = itertools.count()
        self._valkey: Valkey | None = None

    def attach(self, valkey: Valkey) -> None:
        self._valkey = valkey

    @property
    def on(self) -> bool:
        return self._valkey is not None and self._valkey.live and self._settings.local_bytes > 0

    def find(self, user_id: int, key: bytes) -> Answer | None:
        """From the process alone, without waiting. None while an unread word of Valkey's might say otherwise."""
        if self._valkey is None:
            return None
        answer = self._tier.find(user_id, key, time.monotonic())
        return answer if answer is not None and self._valkey.quiet() else None

    def count(self, answer: Answer) -> None:
        """What was found has been served."""
        HITS.add("process", answer.kind)

    async def catch_up(self) -> None:
        """All that Valkey had sent when this was called is known when it returns. Raises :class:`ValkeyGoneError`."""
        valkey = self._attached()
        if valkey.unread():
            await valkey.call(("PING",))

    def holds(self, shelf: Shelf) -> bool:
        """Whether its generation still holds, as far as this process has heard."""
        return self._tier.holds(shelf)

    async def shelf(self, user_id: int) -> Shelf:
        """The user's shelf of the generation that holds now. Raises :class:`ValkeyGoneError`."""
        valkey = self._attached()
        await self.catch_up()
        for _ in range(_TRIES):
            if user_id in self._owed:
                break
            shelf = self._tier.shelf(user_id)
            if shelf is not None:
                return shelf
            asking = _Asking()
            self._asking.setdefault(user_id, []).append(asking)
            try:
                name = _name(user_id)
                *_, generation = await valkey.call(
                    ("SET", name, secrets.token_bytes(9), "NX", "EX", _GENERATION_S),
                    ("CLIENT", "CACHING", "YES"),
                    ("GET", name),
                )
            finally:
                self._asking[user_id].remove(asking)
                if not self._asking[user_id]:
                    del self._asking[user_id]
            if generation is not None and not asking.overtaken:
                return self._tier.open(user_id, generation)
        raise ValkeyGoneError

    async def fetch(self, shelf: Shelf, key: bytes) -> Answer | None:
        """From Valkey. None when this caller is to load it; others wait a moment for who does."""
        valkey = self._attached()
        pages = _pages(shelf)
        lock = _lock(pages, key)
        deadline = time.monotonic() + _LOAD_WAIT_S
        while True:
            packed, locked = await valkey.call(("HGET", pages, key), ("SET", lock, b"1", "NX", "PX", _LOAD_LOCK_MS))
            answer = _unpack(packed) if packed is not None else None
            if answer is not None and answer.expires_at > time.monotonic():
                if locked is not None:
                    await valkey.call(("DEL", lock))
                self._tier.put(shelf, key, answer)
                HITS.add("valkey", answer.kind)
                return answer
            if locked is not None or time.monotonic() > deadline:
                return None
            await asyncio.sleep(_LOAD_POLL_S)

    async def keep(self, shelf: Shelf, key: bytes, answer: Answer) -> None:
        """In both tiers."""
        self._tier.put(shelf, key, answer)
        pages = _pages(shelf)
        life_s = max(1, round(answer.expires_at - time.monotonic()))
        await self._attached().call(
            ("HSET", pages, key, _pack(answer)),
            ("EXPIRE", pages, life_s, "NX"),
            ("EXPIRE", pages, life_s, "GT"),
            ("DEL", _lock(pages, key)),
        )

    async def leave(self, shelf: Shelf, key: bytes) -> None:
        """For who was to load it and has nothing to keep."""
        await self._attached().call(("DEL", _lock(_pages(shelf), key)))

    def expires_at(self, ttl_s: float | None) -> float:
        """Spread, so that what was kept together does not end together. None takes the setting."""
        life_s = ttl_s or self._settings.ttl_s
        return time.monotonic() + life_s * random.uniform(1 - _JITTER, 1)  # noqa: S311 (a spread, not a secret)

    async def end_generation(self, user_ids: Iterable[int]) -> None:
        """When it returns, no process serves what it knew of these users before; unless Valkey is away, and then no
        process that can still reach it may know until this one reaches it again.
        """
        users = list(user_ids)
        for user_id in users:
            self._overtake(user_id)
            self._tier.drop(user_id)
        if self._valkey is None or not users:
            return
        told = False
        try:
            with contextlib.suppress(ValkeyGoneError):
                await self._valkey.call(*(_renew(user_id) for user_id in users))
                # Valkey sends what it owes to others before it reads this: the reply comes after their invalidations
                # left.
                await self._valkey.call(("PING",))
                told = True
        finally:
            if not told:  # a request that is cancelled meanwhile owes it too
                self._owe(users)

    async def settle(self, call: Call) -> None:
        """Before the connection is used again, and from time to time: what is owed to the others."""
        while self._owed:
            debts = dict(itertools.islice(self._owed.items(), _SETTLED_AT_ONCE))
            await call(*(_renew(user_id) for user_id in debts))
            for user_id, debt in debts.items():
                if self._owed.get(user_id) == debt:
                    del self._owed[user_id]

    def invalid(self, key: bytes | None) -> None:
        """Valkey says that a generation has ended, or (None) that it knows nothing any more."""
        if key is None:
            self.forget()
            return
        _, _, user_id = key.rpartition(b":")
        if user_id.isdigit():
            self._overtake(int(user_id))
            self._tier.drop(int(user_id))

    def forget(self) -> None:
        """The connection is gone, and with it every promise to be told."""
        for asking in self._asking.values():
            for one in asking:
                one.overtaken = True
        self._tier.clear()

    def _owe(self, users: Iterable[int]) -> None:
        for user_id in users:
            self._owed.pop(user_id, None)
            self._owed[user_id] = next(self._debts)
            if len(self._owed) > _MOST_OWED:
                del self._owed[next(iter(self._owed))]  # the oldest: others' answers from before it have ended soonest

    def _overtake(self, user_id: int) -> None:
        for one in self._asking.get(user_id, ()):
            one.overtaken = True

    def _attached(self) -> Valkey:
        if self._valkey is None:
            raise ValkeyGoneError
        return self._valkey


def _pack(answer: Answer) -> bytes:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    offset = time.time() - time.monotonic()  # processes share a wall clock, near enough for a life of seconds
    head: list[Any] = [
        answer.kind,
        answer.etag.decode("latin-1"),
        answer.stale_at + offset,
        answer.expires_at + offset,
        headers,
    ]
    return to_json(head) + b"\n" + answer.body


def _unpack(packed: bytes) -> Answer | None:
    """None for what another version of the service wrote in another form."""
    head, _, body = packed.partition(b"\n")
    offset = time.monotonic() - time.time()
    try:
        kind, etag, fresh, until, headers = from_json(head)
        return Answer(
            kind=kind,
            etag=etag.encode("latin-1"),
            headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers),
            body=body,
            stale_at=fresh + offset,
            expires_at=until + offset,
        )
    except (ValueError, TypeError, AttributeError):
        return None


def _name(user_id: int) -> bytes:
    return b"tasks:g:%d" % user_id


def _pages(shelf: Shelf) -> bytes:
    return b"tasks:p:%d:%s" % (shelf.user_id, shelf.generation.hex().encode())


def _lock(pages: bytes, key: bytes) -> bytes:
    return b"%s:%s" % (pages.replace(b":p:", b":l:", 1), key)


def _renew(user_id: int) -> tuple[str | bytes | int, ...]:
    return ("SET", _name(user_id), secrets.token_bytes(9), "EX", _GENERATION_S)
