"""A request that takes too long is answered at its deadline, and what it did is undone."""

import asyncio
import json
from collections.abc import AsyncIterator

import psycopg
import pytest

from service.settings import Settings
from tests.support.client import Client, User
from tests.support.outage import busy, changed, listening, quiet
from tests.support.wait import until

_FAR_MS = 60_000
_SLOW = {"title": "Slow one"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    far = {"lock_timeout_ms": _FAR_MS, "statement_timeout_ms": _FAR_MS, "write_pool_size": 1}
    return changed(settings, database=far, http={"deadline_s": 1})


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with listening(settings) as client:
        yield client


@pytest.fixture
async def user(client: Client, sql: psycopg.Connection) -> User:
    """A user; a task of theirs that is called ``Slow one`` takes a minute once its row is written."""
    sql.execute(
        """
        CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE TRIGGER strike AFTER INSERT ON tasks FOR EACH ROW WHEN (NEW.title = 'Slow one')
            EXECUTE FUNCTION strike();
        """
    )
    return await client.user()


def sessions(sql: psycopg.Connection, state: str = "%") -> list[int]:
    """The server's processes behind the service's write connections."""
    rows = sql.execute(
        """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tasks-write' AND state LIKE %s
        """,
        (state,),
    ).fetchall()
    return [row[0] for row in rows]


async def test_a_late_write_is_undone_and_its_connection_serves_the_next(
    client: Client, user: User, sql: psycopg.Connection
) -> None:
    before = sessions(sql)
    keyed = {"headers": {"Idempotency-Key": "k"}}
    busy(await client.post("/tasks", user, json=_SLOW, **keyed), "deadline_exceeded")
    # The one write connection there is; the same key, since nothing of the first request was kept.
    assert (await client.post("/tasks", user, json={"title": "Quick one"}, **keyed)).status_code == 201
    assert sessions(sql) == before
    assert (await client.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"] == 1
    await until(lambda: quiet(client), "every connection is back")


async def test_a_late_read_is_503_and_its_statement_ends(client: Client, user: User, sql: psycopg.Connection) -> None:
    with sql.transaction():
        sql.execute("LOCK TABLE tasks")
        busy(await client.get("/tasks", user), "deadline_exceeded")
        assert (await client.get("/auth/me", user)).status_code == 200
        await until(lambda: quiet(client), "every connection is back")
    assert (await client.get("/tasks", user)).status_code == 200


async def test_a_client_that_hangs_up_leaks_nothing(client: Client, user: User, sql: psycopg.Connection) -> None:
    body = json.dumps(_SLOW).encode()
    _, writer = await raw(client, user, body, len(body))

    async def at_work() -> bool:
        return bool(sessions(sql, "active"))

    await until(at_work, "the statement runs")
    writer.transport.abort()
    await until(lambda: quiet(client), "every connection is back")
    assert (await client.post("/tasks", user, json={"title": "Quick one"})).status_code == 201
    assert (await client.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"] == 1


async def test_a_body_that_stalls_holds_no_connection_to_the_database(client: Client, user: User) -> None:
    reader, writer = await raw(client, user, b'{"title":', 100)
    # The one write connection is free for others all the time.
    assert (await client.post("/tasks", user, json={"title": "Quick one"})).status_code == 201
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    await until(lambda: quiet(client), "every connection is back")
    writer.transport.abort()


async def raw(
    client: Client, user: User, body: bytes, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A POST /tasks by hand, with so much of its body as is given."""
    url = client.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: tasks.test\r\nAuthorization: Bearer {user.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer
