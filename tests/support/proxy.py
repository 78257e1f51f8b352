"""A TCP proxy that stands between the service and one of its servers and fails as networks do."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from pydantic import SecretStr

from service.settings import Database
from tests.support.net import free_port

_COMMIT: Final = b"COMMIT"


class Listening(Protocol):
    """A server on loopback."""

    @property
    def port(self) -> int: ...


class AtCommit(Enum):
    """What becomes of the next COMMIT. After it the proxy is an honest one again."""

    NEVER_ARRIVES = "the connection is cut before the server has seen it"
    ANSWER_IS_LOST = "the server does it, and the connection is cut before its answer"
    ANSWER_IS_LATE = "the server does it, and its answer is held back until the flow goes on"


@dataclass(eq=False)
class _Link:
    """One connection: from the service to us, and from us to the server."""

    here: asyncio.StreamWriter
    there: asyncio.StreamWriter
    answer: AtCommit | None = None
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        self.here.transport.abort()
        self.there.transport.abort()


class Proxy:
    """``at_commit`` arms one fault; ``held`` makes a network that delivers nothing, ``late_s`` one that is slow."""

    def __init__(self, port: int, target: Listening) -> None:
        self.port = port
        self.at_commit: AtCommit | None = None
        self.late_s = 0.0  # what an answer needs longer
        self._target = target
        self._links: set[_Link] = set()
        self._held = False

    def settings(self, direct: Database) -> Database:
        """The same database, by way of this proxy."""
        url = direct.url.get_secret_value().replace(f":{self._target.port}/", f":{self.port}/")
        return direct.model_copy(update={"url": SecretStr(url)})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Connections stay open, new ones are accepted, and not a byte passes: a black hole.

        Afterwards what was held arrives, as TCP would have it.
        """
        self._held = True
        for link in self._links:
            link.flows.clear()
        try:
            yield
        finally:
            self.flow()

    def flow(self) -> None:
        self._held = False
        for link in self._links:
            link.flows.set()

    def cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target.port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, back)
        if not self._held:
            link.flows.set()
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._requests(link, reader))
                pumps.create_task(self._answers(link, there))
        finally:
            self._links.discard(link)
            link.cut()

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await link.flows.wait()
                if self.at_commit is not None and _COMMIT in chunk:
                    link.answer, self.at_commit = self.at_commit, None
                    if link.answer is AtCommit.NEVER_ARRIVES:
                        break
                link.there.write(chunk)
        link.cut()

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if link.answer is AtCommit.ANSWER_IS_LOST:
                    break
                if link.answer is AtCommit.ANSWER_IS_LATE:
                    link.flows.clear()
                    link.answer = None
                await link.flows.wait()
                if self.late_s:
                    await asyncio.sleep(self.late_s)
                link.here.write(chunk)
        link.cut()


@asynccontextmanager
async def proxied(target: Listening) -> AsyncIterator[Proxy]:
    proxy = Proxy(free_port(), target)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.take(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        proxy.flow()
        proxy.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
