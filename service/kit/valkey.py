"""Valkey over one connection that every caller of the process shares, with a budget for each call.

Valkey is never needed: a call that fails or takes too long raises :class:`ValkeyGoneError` and the caller does without.
The connection speaks RESP3, so invalidations of tracked keys arrive on it, in order with the replies. Not redis-py: its
asyncio client has no client tracking, and costs several times as much for a call.
"""

import asyncio
import select
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis
import structlog

from service.kit import tracing
from service.settings import Valkey as ValkeySettings

_HANDSHAKE_S: Final = 1.0
_HEARTBEAT_S: Final = 0.25
# A server that is silent this long may be sending invalidations to nobody: what was learned from it is let go.
_SILENCE_S: Final = 0.5
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_LONGEST_QUEUE: Final = 10_000

Command = tuple[str | int | float | bytes, ...]
Call = Callable[..., Awaitable[list[Any]]]

log = structlog.get_logger()


class ValkeyGoneError(Exception):
    """Not there, not in time, or not willing."""


class Valkey:
    """``on_invalid`` gets each tracked key that changed, or None when all did; ``on_lost`` ends every promise.

    ``on_connect`` may make calls before anybody else can, and again at each heartbeat.
    """

    def __init__(
        self,
        settings: ValkeySettings,
        *,
        on_invalid: Callable[[bytes | None], None],
        on_message: Callable[[bytes], None],
        on_connect: Callable[[Call], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._on_invalid = on_invalid
        self._on_message = on_message
        self._on_connect = on_connect
        self._on_lost = on_lost
        self._wire: _Wire | None = None

    @property
    def live(self) -> bool:
        return self._wire is not None and self._wire.usable

    def unread(self) -> bool:
        """Whether something has arrived that was not yet looked at: it may say that what is cached has changed."""
        return self._wire is not None and self._wire.unread()

    def quiet(self) -> bool:
        """Live, and nothing unread: what it has said so far still holds."""
        wire = self._wire
        return wire is not None and wire.usable and not wire.unread()

    async def call(self, *commands: Command) -> list[Any]:
        """The replies, in one round trip. Raises :class:`ValkeyGoneError`, at the latest when the budget is spent."""
        wire = self._wire
        if wire is None or not wire.usable:
            raise ValkeyGoneError
        if tracing.is_sampled():
            words = " ".join(str(command[0]) for command in commands)
            with tracing.spanning("valkey", db_system_name="valkey", db_operation_name=words):
                return await wire.call(commands, self._settings.budget_s)
        return await wire.call(commands, self._settings.budget_s)

    def cast(self, command: Command) -> None:
        """Sends without waiting for the reply; lost when Valkey is away."""
        if self.live and self._wire is not None:
            self._wire.cast(command)

    async def maintain(self) -> None:
        """Connects, watches and connects again, until cancelled."""
        failures = 0
        while True:
            try:
                wire = await self._connect()
            except (OSError, TimeoutError, ValkeyGoneError, hiredis.HiredisError) as error:
                if failures == 0:
                    log.warning("valkey is away", exc_info=error)
                await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
                continue
            log.info("valkey is here")
            failures = 0
            self._wire = wire
            try:
                await self._watch(wire)
            finally:
                self._wire = None
                wire.close()
                self._on_lost()

    async def _connect(self) -> "_Wire":
        url = urlsplit(self._settings.url or "")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_HANDSHAKE_S):
            _, wire = await loop.create_connection(
                lambda: _Wire(self._on_invalid, self._on_message), url.hostname or "127.0.0.1", url.port or 6379
            )
        try:
            hello: Command = ("HELLO", 3)
            if self._settings.password_file is not None:
                password = self._settings.password_file.read_text().strip()
                hello = (*hello, "AUTH", url.username or "default", password)
            await wire.call((hello,), _HANDSHAKE_S)
            # Only keys that are asked for are tracked; what this process changes itself, it knows.
            tracking: Command = ("CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP")
            await wire.call((tracking, ("SUBSCRIBE", self._settings.channel)), _HANDSHAKE_S)
            await self._settle(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _watch(self, wire: "_Wire") -> None:
        """Returns when the connection is lost or silent."""
        while not wire.lost.is_set():
            try:
                await wire.call((("PING",),), _SILENCE_S)
                await self._settle(wire)  # a call can fail although the connection lives on
                async with asyncio.timeout(_HEARTBEAT_S):
                    await wire.lost.wait()
            except TimeoutError:
                continue
            except ValkeyGoneError:
                return

    async def _settle(self, wire: "_Wire") -> None:
        await self._on_connect(lambda *commands: wire.call(commands, _HANDSHAKE_S))


class _Batch:
    """Commands that were sent together, and the replies so far."""

    __slots__ = ("future", "left", "replies")

    def __init__(self, future: asyncio.Future[list[Any]], count: int) -> None:
        self.future = future
        self.left = count
        self.replies: list[Any] = []

    def add(self, reply: Any) -> bool:
        """Whether it was the last one that was missing."""
        self.replies.append(reply)
        self.left -= 1
        if self.left == 0 and not self.future.done():
            self.future.set_result(self.replies)
        return self.left == 0

    def give_up(self) -> None:
        if not self.future.done():
            self.future.set_exception(ValkeyGoneError())


class _Wire(asyncio.Protocol):
    def __init__(self, on_invalid: Callable[[bytes | None], None], on_message: Callable[[bytes], None]) -> None:
        self.lost = asyncio.Event()
        # A call was not answered in time, and nothing has been heard since: nobody else needs to wait that long.
        self.suspect = False
        self._on_invalid = on_invalid
        self._on_message = on_message
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._waiting: deque[_Batch] = deque()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, as create_connection promises
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()
        for batch in self._waiting:
            batch.give_up()
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        self.suspect = False
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.PushNotification):
                self._pushed(reply)
            else:
                self._replied(reply)

    @property
    def usable(self) -> bool:
        return not self.suspect and not self.lost.is_set()

    def unread(self) -> bool:
        return bool(self._poll.poll(0))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def call(self, commands: Sequence[Command], budget_s: float) -> list[Any]:
        if self._transport is None or self.lost.is_set() or len(self._waiting) > _LONGEST_QUEUE:
            raise ValkeyGoneError
        loop = asyncio.get_running_loop()
        batch = _Batch(loop.create_future(), len(commands))
        self._waiting.append(batch)
        self._transport.write(b"".join(_packed(command) for command in commands))
        timer = loop.call_later(budget_s, self._too_slow, batch)
        try:
            replies = await batch.future
        finally:
            timer.cancel()
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise ValkeyGoneError(str(reply).partition(" ")[0]) from reply
        return replies

    def cast(self, command: Command) -> None:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        future.cancel()
        self._waiting.append(_Batch(future, 1))
        if self._transport is not None:
            self._transport.write(_packed(command))

    def _too_slow(self, batch: _Batch) -> None:
        self.suspect = True
        batch.give_up()

    def _pushed(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            for key in push[1] or (None,):
                self._on_invalid(key)
        elif push[0] == b"message":
            self._on_message(push[2])
        elif push[0] == b"subscribe":
            self._replied(push)  # in RESP3 a subscription is confirmed by a push, and by nothing else

    def _replied(self, reply: Any) -> None:
        if self._waiting and self._waiting[0].add(reply):
            self._waiting.popleft()


def _packed(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub says one element
    return packed
