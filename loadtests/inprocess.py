"""The process whose instructions are counted: an application without a server, and one request again and again.

Reads {app, path, token} on stdin. Loads the application by name, as a server would; nothing else here knows it.
"""

import asyncio
import importlib
import json
import os
import sys
from typing import Any

from starlette.types import ASGIApp, Message, Scope

FEW, MANY = 20, 120
WARM_UP = 50
TRIES = 600


def load(name: str) -> ASGIApp:
    if name == "product":
        settings = importlib.import_module("service.settings").Settings()
        importlib.import_module("service.kit.logs").configure(settings.log.level)
        app: ASGIApp = importlib.import_module("service.app").create_app(settings)
    else:
        app = importlib.import_module("loadtests.peers.bare").create_app()
    return app


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


class Asked:
    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.app, self.scope, self.status = app, scope, 0

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)

    async def wait(self) -> None:
        await self.app(dict(self.scope), receive, self.send)

    def at_once(self) -> bool:
        """Whether the answer came without waiting for anything, as a hit does."""
        self.status = 0
        work: Any = self.wait()
        try:
            work.send(None)
        except StopIteration:
            return self.status == 200  # noqa: PLR2004 (the only status that counts here)
        work.close()
        return False


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


def forked(asked: Asked, requests: int) -> dict[str, int]:
    """A child that asks so often and ends; RuntimeError when an answer was no hit."""
    pid = os.fork()
    if pid == 0:
        good = all(asked.at_once() for _ in range(requests))
        os._exit(0 if good else 1)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("an answer had to wait: this was no cached request")
    return {"pid": pid, "requests": requests}


async def main() -> None:
    given = json.loads(sys.stdin.read())
    app = load(given["app"])
    task, ending = await started(app)
    asked = Asked(app, scope_of(given["path"], given["token"]))
    for _ in range(TRIES):
        await asked.wait()
        await asyncio.sleep(0.05)
        if all(asked.at_once() for _ in range(WARM_UP)):
            break
    counted = [forked(asked, FEW), forked(asked, MANY)]
    sys.stdout.write("\n" + json.dumps(counted) + "\n")
    sys.stdout.flush()
    ending.set()
    await task


if __name__ == "__main__":
    asyncio.run(main())
