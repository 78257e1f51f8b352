"""The process whose instructions are counted: the bytes of one request in, those of its answer out, again and again.

What is counted is the server's protocol, its parser and the application, without a socket, a loop or a task: the
product answers a hit in the protocol. Reads {app, asked: [[path, token], ...]} on stdin: starting takes most of the
time, so one process counts them all. Loads the application by name, as a server would; nothing else here knows it.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

FEW, MANY = 20, 520
WARM_UP = 500  # with 50, and 120 at most, every second path counted 1.5 % more than the first
TRIES = 600


class ByHand(HttpToolsProtocol):
    """Runs the application where the server would make a task for it; one that waits for anything is given up."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        work: Any = cycle.run_asgi(app)
        with contextlib.suppress(StopIteration):
            work.send(None)
        work.close()


def load(name: str) -> tuple[ASGIApp, type[HttpToolsProtocol]]:
    """The application, and the server's protocol for it."""
    if name != "product":
        return importlib.import_module("loadtests.peers.bare").create_app(), ByHand
    settings = importlib.import_module("service.settings").Settings()
    importlib.import_module("service.kit.logs").configure(settings.log.level)
    service = importlib.import_module("service.app")
    api = service.create_api(settings)
    api.state.parts = service.build_parts(settings)
    app, hits = service.wrapped(api, settings)
    wire = importlib.import_module("service.kit.wire").protocol(settings.http, hits)
    return app, type("WireByHand", (ByHand, wire), {})


def scope_of(path: str, token: str) -> Scope:
    route, _, query = path.partition("?")
    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + token.encode()), (b"accept", b"*/*")]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": route,
        "raw_path": route.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def answered(app: ASGIApp, scope: Scope) -> None:
    """One request that may wait for whatever it needs."""

    async def ignore(_: Message) -> None:
        pass

    await app(dict(scope), receive, ignore)


class Transport(asyncio.Transport):
    """A connection without a socket, which holds what was written last."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing: one that had to be given up is not asked again."""

    write_eof = close


class Asked:
    """One connection, and the bytes of one request."""

    def __init__(self, app: ASGIApp, protocol: type[HttpToolsProtocol], scope: Scope) -> None:
        config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, access_log=False)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Wed, 01 Jan 2025 00:00:00 GMT")]
        self.transport = Transport()
        self.protocol = protocol(config, state, {})
        self.protocol.connection_made(self.transport)
        lines = [b"%b: %b" % header for header in scope["headers"]]
        self.request = b"\r\n".join([b"GET %b HTTP/1.1" % target_of(scope), *lines, b"", b""])

    def at_once(self) -> bool:
        """Whether a whole answer came without waiting for anything, as a hit does."""
        self.transport.written.clear()
        self.protocol.data_received(self.request)
        written = b"".join(self.transport.written)
        return written.startswith(b"HTTP/1.1 200 ") and len(written.partition(b"\r\n\r\n")[2]) > 0


def target_of(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return b"%b?%b" % (path, query) if query else path


async def started(app: ASGIApp) -> tuple[asyncio.Task[None], asyncio.Event]:
    """The application's lifespan, begun; it ends when the event is set and the task awaited."""
    begun, ending = asyncio.Event(), asyncio.Event()
    asked = iter(("lifespan.startup", "lifespan.shutdown"))

    async def next_event() -> Message:
        kind = next(asked)
        if kind == "lifespan.shutdown":
            await ending.wait()
        return {"type": kind}

    async def told(_: Message) -> None:
        begun.set()

    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def live() -> None:
        await app(scope, next_event, told)

    task = asyncio.create_task(live())
    await begun.wait()
    return task, ending


def forked(asked: Asked, requests: int) -> int:
    """A child that asks so often and ends, with 1 when an answer was no hit."""
    loop = asyncio.get_running_loop()
    pid = os.fork()
    if pid == 0:
        asyncio._set_running_loop(loop)  # noqa: SLF001 (in a fork asyncio knows none, and hits set timers now and then)
        # Else a collection more or less would fall into the requests, by what was allocated before.
        gc.collect()
        good = all(asked.at_once() for _ in range(requests))
        os._exit(0 if good else 1)
    return pid


def both(asked: Asked) -> list[dict[str, int]]:
    """A child for each number of requests. Side by side: this process has done the same before either, and no answer
    grows old while it waits for one. RuntimeError when an answer was no hit.
    """
    children = [{"pid": forked(asked, requests), "requests": requests} for requests in (FEW, MANY)]
    ended = [os.waitpid(child["pid"], 0)[1] for child in children]
    if any(ended):
        raise RuntimeError("an answer had to wait: this was no cached request")
    return children


async def counted(app: ASGIApp, protocol: type[HttpToolsProtocol], scope: Scope) -> list[dict[str, int]]:
    """The children of one path, once its answers come at once; RuntimeError when they never do."""
    for _ in range(TRIES):
        await answered(app, scope)
        await asyncio.sleep(0.05)
        asked = Asked(app, protocol, scope)
        if all(asked.at_once() for _ in range(WARM_UP)):
            return both(asked)
    raise RuntimeError(f"no answer of {scope['path']} came at once")


async def main() -> None:
    given = json.loads(sys.stdin.read())
    app, protocol = load(given["app"])
    task, ending = await started(app)
    children = [await counted(app, protocol, scope_of(path, token)) for path, token in given["asked"]]
    sys.stdout.write("\n" + json.dumps(children) + "\n")
    sys.stdout.flush()
    ending.set()
    await task


if __name__ == "__main__":
    asyncio.run(main())
