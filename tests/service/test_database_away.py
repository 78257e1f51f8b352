"""PostgreSQL stopped, frozen and unreachable, under a service that is never restarted."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from httpx2 import AsyncClient, Response

from service.migrations.door import migrate
from service.settings import Database, Settings
from tests.support.client import PASSWORD, Client, User, running
from tests.support.outage import busy, frozen, idle, joined, quiet, served
from tests.support.postgres import Postgres, started
from tests.support.proxy import Proxy, proxied
from tests.support.server import Server
from tests.support.wait import until

_NUMBERS = itertools.count(1)
_LOGIN = {"email": "ada@example.com", "password": PASSWORD}
_CALLS = [
    ("GET", "/tasks", None),
    ("GET", "/tasks/1", None),
    ("GET", "/tasks/stats", None),
    ("GET", "/auth/me", None),
    ("GET", "/users/me/preferences", None),
    ("POST", "/tasks", {"title": "Write the report"}),
    ("PUT", "/tasks/1", {"status": "COMPLETED"}),
    ("DELETE", "/tasks/1", None),
    ("PUT", "/users/me/preferences", {"theme": "dark"}),
    ("POST", "/auth/register", {"name": "Ada Lovelace", **_LOGIN}),
    ("POST", "/auth/login", _LOGIN),
    ("POST", "/auth/logout", None),
]
# The least that the settings allow, so that many outages fit into a test.
_SHORT = {
    "TASKS_HTTP_DEADLINE_S": "2",
    "TASKS_DATABASE_POOL_TIMEOUT_S": "0.3",
    "TASKS_DATABASE_CONNECT_TIMEOUT_S": "1",
}
_DEADLINE_S = 2.0
# A busy machine's share. The driver's own clean-up on a hung server takes 5 s and more.
_MARGIN_S = 2.0


@pytest.fixture(scope="module")
def spare() -> Iterator[Postgres]:
    """A server that tests may take away: nobody else is on it."""
    with started() as server:
        yield server


def migrated(server: Postgres) -> Database:
    name = f"away_{next(_NUMBERS)}"
    server.create(name)
    migrate(server.settings(name), "head")
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        # What was answered must be there after the outage: a commit waits for its log here, as it does in production.
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on".encode())
    return server.settings(name)


@pytest.fixture
def database(spare: Postgres) -> Database:
    return migrated(spare)


@pytest.fixture
async def user(client: Client) -> User:
    return await client.user()


async def answers(http: AsyncClient, headers: dict[str, str], base: str = "") -> list[tuple[Response, float]]:
    """Every call at once; each answer with the seconds it took."""

    async def call(method: str, path: str, body: object) -> tuple[Response, float]:
        begun = time.monotonic()
        response = await http.request(method, base + path, headers=headers, json=body, timeout=20)
        return response, time.monotonic() - begun

    return await asyncio.gather(*(call(*entry) for entry in _CALLS))


async def warmed(client: Client, user: User) -> None:
    """Fills both pools."""
    reads = [client.get("/tasks", user) for _ in range(30)]
    writes = [client.post("/tasks", user, json={"title": "Write the report"}) for _ in range(30)]
    assert {response.status_code for response in await asyncio.gather(*reads, *writes)} == {200, 201}


async def test_a_stopped_database_is_503_and_its_return_needs_nothing(
    client: Client, user: User, spare: Postgres, settings: Settings
) -> None:
    await warmed(client, user)
    spare.stop()
    for _ in range(2):
        async with asyncio.timeout(settings.http.deadline_s):
            for response, _ in await answers(client.http, user.headers, "/api/v1"):
                busy(response)
    assert (await client.get("//health/live")).status_code == 200
    ready = await client.get("//health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"database": "gone", "revocations": "ok", "process": "ok"}
    await until(lambda: quiet(client), "every connection is back")

    spare.start()
    assert (await client.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"] == 30
    assert (await client.post("/tasks", user, json={"title": "After the storm"})).status_code == 201
    assert (await client.get("//health/ready")).status_code == 200


async def test_stale_connections_of_an_unnoticed_outage_serve_nobody(
    client: Client, user: User, spare: Postgres
) -> None:
    await warmed(client, user)
    spare.stop()
    spare.start()
    await warmed(client, user)  # the first requests after it, one for each stale connection


async def test_a_process_that_starts_without_its_database_becomes_ready_by_itself(
    settings: Settings, spare: Postgres
) -> None:
    async with running(settings) as before:
        user = await before.user()
    spare.stop()
    async with running(settings) as client:
        ready = await client.get("//health/ready")
        assert ready.json()["checks"] == {"database": "gone", "revocations": "gone", "process": "ok"}
        # Nobody can say yet which tokens are dead: neither 200 nor 401.
        busy(await client.get("/tasks", user))
        spare.start()

        async def is_ready() -> bool:
            return (await client.get("//health/ready")).status_code == 200

        await until(is_ready, "ready after the database is there")
        assert (await client.get("/tasks", user)).status_code == 200


async def test_a_standby_reads_and_refuses_to_write_until_it_is_promoted(
    client: Client, user: User, spare: Postgres
) -> None:
    await warmed(client, user)
    task = (await client.task(user))["id"]
    spare.stop()
    (spare.data / "pg" / "standby.signal").touch()
    spare.start()
    assert (await client.get(f"/tasks/{task}", user)).status_code == 200
    assert (await client.get("//health/ready")).status_code == 200
    busy(await client.post("/tasks", user, json={"title": "Not now"}))
    busy(await client.put(f"/tasks/{task}", user, json={"status": "COMPLETED"}))
    busy(await client.delete(f"/tasks/{task}", user))
    with psycopg.connect(spare.url("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")
    assert (await client.put(f"/tasks/{task}", user, json={"status": "COMPLETED"})).status_code == 200


async def test_a_server_set_to_read_only_is_believed(client: Client, user: User, spare: Postgres) -> None:
    """What an operator does before the disk is full."""
    await warmed(client, user)
    with psycopg.connect(spare.url("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        await until(lambda: writes(client, user, 503), "the server has read its configuration")
        busy(await client.post("/tasks", user, json={"title": "Not now"}))
        assert (await client.get("/tasks", user)).status_code == 200
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
    await until(lambda: writes(client, user, 201), "the server has read its configuration again")


async def writes(client: Client, user: User, status: int) -> bool:
    return (await client.post("/tasks", user, json={"title": "Write the report"})).status_code == status


async def check_silence(http: AsyncClient, url: str, headers: dict[str, str]) -> None:
    """While the database is silent: 503 at the deadline, more callers than connections, the process lives."""
    waves = await asyncio.gather(*(answers(http, headers) for _ in range(2)))
    for response, took_s in itertools.chain(*waves):
        assert response.json()["code"] in {"unavailable", "deadline_exceeded"}, response.text
        busy(response, response.json()["code"])
        assert took_s < _DEADLINE_S + _MARGIN_S
    assert (await http.get(f"{url}/health/live")).status_code == 200
    ready = await http.get(f"{url}/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"database": "gone", "revocations": "ok", "process": "ok"}


@dataclass(frozen=True)
class Outside:
    """A service process that reaches ``spare`` through a proxy."""

    proxy: Proxy
    server: Server
    http: AsyncClient


@pytest.fixture(scope="module")
async def outside(spare: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    made = migrated(spare)
    async with (
        proxied(spare) as proxy,
        served(proxy.settings(made), tmp_path_factory.mktemp("outside"), _SHORT) as (server, http),
    ):
        yield Outside(proxy, server, http)


@pytest.mark.parametrize("fault", ["frozen", "black hole"])
async def test_a_silent_database_is_503_at_the_deadline(outside: Outside, spare: Postgres, fault: str) -> None:
    headers = await joined(outside.http)
    assert all(response.status_code < 500 for response, _ in await answers(outside.http, headers))
    headers = await joined(outside.http)  # the last call of all is a logout
    with frozen(spare) if fault == "frozen" else outside.proxy.held():
        await check_silence(outside.http, outside.server.url, headers)
    # The first requests after it, and with connections that were given up in the meantime.
    assert (await outside.http.get("/tasks", headers=headers)).status_code == 200
    assert (await outside.http.post("/tasks", headers=headers, json={"title": "After the storm"})).status_code == 201
    await until(lambda: idle(outside.server), "no connection stays in use")


async def test_sigterm_ends_a_process_whose_database_is_silent(outside: Outside) -> None:
    """Last in this file: it takes the process with it."""
    headers = await joined(outside.http)
    with outside.proxy.held():
        waiting = asyncio.create_task(outside.http.get("/tasks", headers=headers))

        async def in_flight() -> bool:
            return not await idle(outside.server)

        await until(in_flight, "the request has reached the database")
        assert await asyncio.to_thread(outside.server.stop) == 0
        busy(await waiting, "deadline_exceeded")
