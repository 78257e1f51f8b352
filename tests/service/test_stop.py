"""SIGTERM on the real process: whoever was let in gets an answer."""

import asyncio
import os
import signal
from pathlib import Path

import httpx2
import psycopg
from httpx2 import AsyncClient

from service.settings import Database
from tests.support.outage import busy, joined, served
from tests.support.server import Server
from tests.support.wait import until

_FAR = {
    "TASKS_DATABASE_LOCK_TIMEOUT_MS": "60000",
    "TASKS_DATABASE_STATEMENT_TIMEOUT_MS": "60000",
    "TASKS_HTTP_DEADLINE_S": "60",
}


def term(server: Server) -> None:
    os.kill(server.pid, signal.SIGTERM)


async def ended(server: Server) -> int:
    process = server.process
    assert process is not None
    return await asyncio.to_thread(process.wait, 20)


async def refuses(server: Server) -> bool:
    """Whether nobody listens any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


async def test_what_was_let_in_is_finished(database: Database, sql: psycopg.Connection, tmp_path: Path) -> None:
    async with served(database, tmp_path, _FAR) as (server, http):
        headers = await joined(http)
        task = (await http.post("/tasks", headers=headers, json={"title": "Write the report"})).json()["data"]["task"]
        with sql.transaction():
            sql.execute("SELECT FROM tasks FOR UPDATE")
            slow = asyncio.create_task(http.put(f"/tasks/{task['id']}", headers=headers, json={"status": "COMPLETED"}))
            await until(lambda: waits(database), "the request waits for a lock")
            term(server)
            await until(lambda: refuses(server), "the listener is closed")
            assert not slow.done()
        assert (await slow).json()["data"]["task"]["status"] == "COMPLETED"
        assert await ended(server) == 0


async def test_what_never_ends_is_cut_off_within_the_grace(
    database: Database, sql: psycopg.Connection, tmp_path: Path
) -> None:
    async with served(database, tmp_path, {**_FAR, "TASKS_HTTP_SHUTDOWN_S": "1"}) as (server, http):
        headers = await joined(http)
        task = (await http.post("/tasks", headers=headers, json={"title": "Write the report"})).json()["data"]["task"]
        with sql.transaction():
            sql.execute("SELECT FROM tasks FOR UPDATE")
            stuck = asyncio.create_task(http.put(f"/tasks/{task['id']}", headers=headers, json={"status": "COMPLETED"}))
            await until(lambda: waits(database), "the request waits for a lock")
            term(server)
            assert await ended(server) == 0
            busy(await stuck)
        row = sql.execute("SELECT status FROM tasks").fetchone()
        assert row == ("PENDING",)


async def waits(database: Database) -> bool:
    async with await psycopg.AsyncConnection.connect(database.url.get_secret_value()) as connection:
        cursor = await connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return await cursor.fetchone() is not None


class Load:
    """Eight clients that keep their connections and send the next request as soon as they have an answer."""

    def __init__(self, http: AsyncClient, headers: dict[str, str]) -> None:
        self._http = http
        self._headers = headers
        self.stopped = asyncio.Event()
        self.answered = 0
        self.broken: list[str] = []
        self.others: list[int] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(8):
                clients.create_task(self._client(write=number % 2 == 0))

    async def _client(self, *, write: bool) -> None:
        while not self.stopped.is_set():
            try:
                if write:
                    body = {"title": "Write the report"}
                    response = await self._http.post("/tasks", headers=self._headers, json=body)
                else:
                    response = await self._http.get("/tasks", headers=self._headers)
            except httpx2.ConnectError:
                return  # nothing was sent
            except httpx2.TransportError as error:
                self.broken.append(repr(error))
                return
            self.answered += 1
            if response.status_code not in {200, 201}:
                self.others.append(response.status_code)


async def test_a_drain_loses_no_request_of_clients_behind_a_balancer(
    database: Database, sql: psycopg.Connection, tmp_path: Path
) -> None:
    """Not ready at once, yet answering for the time that a balancer needs to look away."""
    async with served(database, tmp_path, {"TASKS_HTTP_DRAIN_S": "60"}) as (server, http):
        load = Load(http, await joined(http))
        running = asyncio.create_task(load.run())

        async def warm() -> bool:
            return load.answered > 50

        await until(warm, "the load runs")
        term(server)
        async with AsyncClient(base_url=server.url) as prober:

            async def is_draining() -> bool:
                ready = await prober.get("/health/ready")
                return ready.status_code == 503 and ready.json()["checks"]["process"] == "draining"

            await until(is_draining, "not ready any more")
            assert (await prober.get("/health/live")).status_code == 200
        before = load.answered

        async def goes_on() -> bool:
            return load.answered > before + 8

        await until(goes_on, "requests are answered while it drains")
        load.stopped.set()
        await running
        assert (load.broken, load.others) == ([], [])
        term(server)  # who asks twice does not want to wait
        assert await ended(server) == 0
        row = sql.execute("SELECT count(*) FROM tasks").fetchone()
        assert row is not None
        assert row[0] > 0


async def test_sigterm_under_load_breaks_no_answer(database: Database, sql: psycopg.Connection, tmp_path: Path) -> None:
    async with served(database, tmp_path, {}) as (server, http):
        load = Load(http, await joined(http))
        running = asyncio.create_task(load.run())

        async def warm() -> bool:
            return load.answered > 50

        await until(warm, "the load runs")
        term(server)
        await running
        assert (load.broken, load.others) == ([], [])
        assert await ended(server) == 0
