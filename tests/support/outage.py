"""What the tests of faults share: a frozen PostgreSQL, a service in a process, and what busy looks like."""

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from httpx2 import AsyncClient, Response

from service.app import build_parts, create_api, wrapped
from service.kit.keys import KeyFolder
from service.settings import Database, Settings
from tests.support.client import PASSWORD, Client
from tests.support.net import free_port
from tests.support.postgres import Postgres
from tests.support.problems import problem_of
from tests.support.server import Server
from tests.support.wait import until

_NUMBERS = itertools.count(1)


def busy(response: Response, code: str = "unavailable") -> Response:
    """A 503 in the one shape, which says when to come back."""
    problem_of(response, 503, code)
    assert int(response.headers["retry-after"]) >= 1
    return response


def changed(settings: Settings, **groups: Mapping[str, Any]) -> Settings:
    """The same settings but for these members: ``changed(settings, http={"deadline_s": 1})``."""
    update = {name: getattr(settings, name).model_copy(update=dict(members)) for name, members in groups.items()}
    return settings.model_copy(update=update)


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """The server and all its sessions stopped in their tracks: the kernel still takes connections and bytes for it."""
    assert server.process is not None
    postmaster = psutil.Process(server.process.pid)
    postmaster.suspend()  # first, so that it starts no more children
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped[1:]:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


@asynccontextmanager
async def served(
    database: Database, folder: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Server, AsyncClient]]:
    """A service process, and a client of its /api/v1. The test's loop runs on meanwhile: a proxy may live in it."""
    server = Server(database, folder, env or {})
    try:
        await asyncio.to_thread(server.start)
        async with AsyncClient(base_url=f"{server.url}/api/v1", timeout=30) as http:
            yield server, http
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def fleet(database: Database, folder: Path, size: int) -> AsyncIterator[list[AsyncClient]]:
    """So many processes on one database and one folder of keys, started together; a client of each."""
    KeyFolder(folder / "tokens")
    async with AsyncExitStack() as stack:
        members = [stack.enter_async_context(served(database, folder)) for _ in range(size)]
        yield [http for _, http in await asyncio.gather(*members)]


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[Client]:
    """The service in this process behind a real socket: an answer is there once it is sent, whatever goes on."""
    api = create_api(settings)
    api.state.parts = build_parts(settings)
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        config = uvicorn.Config(wrapped(api, settings).app, http="httptools", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))

        async def started() -> bool:
            return server.started

        await until(started, "the service listens")
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with AsyncClient(base_url=url, timeout=30) as http:
                yield Client(http, api)
        finally:
            server.should_exit = True
            await serving


async def joined(http: AsyncClient) -> dict[str, str]:
    """The headers of a new user."""
    body = {"name": "Ada Lovelace", "email": f"served{next(_NUMBERS)}@example.com", "password": PASSWORD}
    response = await http.post("/auth/register", json=body)
    assert response.status_code == 201, response.text
    return {"Authorization": f"Bearer {response.json()['data']['token']}"}


async def quiet(client: Client) -> bool:
    """Whether no database connection is in use."""
    return all(in_use == 0 for in_use, _ in client.parts.db.pools().values())


async def idle(server: Server) -> bool:
    """Whether the process has neither a request under way nor a database connection in use."""
    async with AsyncClient() as http:
        text = (await http.get(server.metrics_url)).text
    values = re.findall(r"^(?:http_server_active_requests|db_client_connection_count\S*) (\S+)$", text, re.MULTILINE)
    assert len(values) == 3, text
    return all(float(value) == 0 for value in values)
