"""Valkey gone, hung, slow: every request is answered, from PostgreSQL, and nothing old is."""

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from httpx2 import AsyncClient

from tests.support.cached import Fleet, cached_fleet, task, titles
from tests.support.client import User
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy, proxied
from tests.support.valkey import ValkeyServer
from tests.support.wait import until

# The contract's: what a request may take longer while Valkey is away.
_BUDGET_S = 0.05
_SEEN_S = 1.0
_DEAD_S = 2.0
_MARGIN_S = 1.0
_NAMES = itertools.count(1)


@dataclass(frozen=True)
class Pair:
    """Two processes: ``far`` reaches Valkey through ``proxy``, ``near`` directly."""

    fleet: Fleet
    proxy: Proxy
    far: AsyncClient
    near: AsyncClient


@pytest.fixture(scope="module")
async def pair(
    postgres: Postgres, template: str, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    postgres.create("away", template)
    async with proxied(valkey) as proxy:
        envs = [{"TASKS_VALKEY_URL": f"valkey://127.0.0.1:{port}"} for port in (proxy.port, valkey.port)]
        async with cached_fleet(postgres.settings("away"), tmp_path_factory.mktemp("away"), envs) as fleet:
            yield Pair(fleet, proxy, *fleet.processes)
    postgres.drop("away")


async def median_s(http: AsyncClient, user: User, count: int = 200) -> float:
    """Of reads, each of which is answered; every address is asked for the first time."""
    took = []
    for _ in range(count):
        begun = time.monotonic()
        await titles(http, user, f"?q={next(_NAMES)}")
        took.append(time.monotonic() - begun)
    return statistics.median(took)


async def reads_its_writes(fleet: Fleet, user: User) -> None:
    for turn, http in enumerate(fleet.processes * 2):
        title = f"Turn {turn} of {next(_NAMES)}"
        await task(http, user, title)
        for _ in range(2):
            assert (await titles(http, user))[0] == title


async def sees(http: AsyncClient, user: User, title: str) -> bool:
    return title in await titles(http, user)


@asynccontextmanager
async def back_by_itself(pair: Pair, user: User) -> AsyncIterator[None]:
    """What was written in between is what both serve afterwards, from their caches."""
    yield
    await until(pair.fleet.cached, "every process is back by itself")
    expected = await titles(pair.far, user, "?sort=createdAt&limit=100")
    await reads_its_writes(pair.fleet, user)
    assert (await titles(pair.near, user, "?sort=createdAt&limit=100"))[: len(expected)] == expected


async def test_without_valkey_postgresql_answers_within_the_budget(pair: Pair, valkey: ValkeyServer) -> None:
    user = await pair.fleet.user()
    usual_s = await median_s(pair.near, user)
    async with back_by_itself(pair, user):
        valkey.stop()
        try:
            assert await median_s(pair.near, user) <= usual_s + _BUDGET_S
            await reads_its_writes(pair.fleet, user)
            # Nothing is kept that nobody could say has changed.
            for reader, writer in ((pair.near, pair.far), (pair.far, pair.near)):
                await titles(reader, user)
                await task(writer, user, "Across")
                assert (await titles(reader, user))[0] == "Across"
            assert (await pair.near.get(f"{pair.fleet.servers[1].url}/health/ready")).status_code == 200
        finally:
            valkey.start()


async def test_valkey_that_ends_under_load_fails_no_request(pair: Pair, valkey: ValkeyServer) -> None:
    user = await pair.fleet.user()
    ended, asked_after = asyncio.Event(), 0

    async def load(http: AsyncClient) -> None:
        nonlocal asked_after
        while asked_after < 200:
            await titles(http, user, f"?limit={next(_NAMES) % 5 + 1}")
            asked_after += ended.is_set()

    clients = [asyncio.create_task(load(http)) for http in pair.fleet.processes * 3]
    async with back_by_itself(pair, user):
        await asyncio.to_thread(valkey.stop)
        ended.set()
        await asyncio.gather(*clients)
        await asyncio.to_thread(valkey.start)


async def test_a_logout_without_valkey_is_known_from_the_database(pair: Pair, valkey: ValkeyServer) -> None:
    user, other = await pair.fleet.user(), await pair.fleet.user()
    for http in pair.fleet.processes:
        await titles(http, user)
    async with back_by_itself(pair, other):
        valkey.stop()
        try:
            assert (await pair.far.post("/auth/logout", headers=user.headers)).status_code == 200

            async def refused() -> bool:
                return (await pair.near.get("/tasks", headers=user.headers)).status_code == 401

            assert await until(refused, "the delta has been read") <= _DEAD_S + _MARGIN_S
        finally:
            valkey.start()


async def test_a_hung_valkey_is_not_trusted(pair: Pair, valkey: ValkeyServer) -> None:
    user = await pair.fleet.user()
    usual_s = await median_s(pair.near, user)
    await task(pair.near, user, "As it was")
    for http in pair.fleet.processes * 2:
        assert await titles(http, user) == ["As it was"]
    async with back_by_itself(pair, user):
        with valkey.frozen():
            with pair.fleet.sql() as sql:
                sql.execute("UPDATE tasks SET title = 'As it is' WHERE user_id = %s", (user.id,))
            for http in pair.fleet.processes:

                async def forgotten(http: AsyncClient = http) -> bool:
                    return await sees(http, user, "As it is")

                assert await until(forgotten, "the tier of the process is empty") <= _SEEN_S + _MARGIN_S
            assert await median_s(pair.near, user) <= usual_s + _BUDGET_S
            await reads_its_writes(pair.fleet, user)


async def test_a_valkey_that_is_two_seconds_slow_is_left_alone(pair: Pair) -> None:
    user = await pair.fleet.user()
    usual_s = await median_s(pair.far, user)
    await task(pair.near, user, "As it was")
    for http in pair.fleet.processes * 2:
        assert await titles(http, user) == ["As it was"]
    async with back_by_itself(pair, user):
        pair.proxy.late_s = 2.0
        try:
            await task(pair.near, user, "As it is")

            async def forgotten() -> bool:
                return await sees(pair.far, user, "As it is")

            # Its invalidation comes 2 s late: the silence has to say it before.
            assert await until(forgotten, "the slow one does without") <= _SEEN_S + _MARGIN_S
            assert await median_s(pair.far, user) <= usual_s + _BUDGET_S
        finally:
            pair.proxy.late_s = 0.0
            pair.proxy.cut()


async def test_what_was_written_without_valkey_is_told_when_it_is_back(pair: Pair) -> None:
    """Only the writer lost it: until it is back nobody can tell the other, which goes on with what it knows."""
    users = [await pair.fleet.user() for _ in range(3)]
    with pair.proxy.held():
        for user in users:
            for _ in range(2):
                assert await titles(pair.near, user) == []
            await task(pair.far, user, "Written alone")
            assert await titles(pair.far, user) == ["Written alone"]
    for user in users:

        async def told(user: User = user) -> bool:
            return await sees(pair.near, user, "Written alone")

        await until(told, "the other has been told", within_s=5)
        assert await titles(pair.far, user) == ["Written alone"]
    await until(pair.fleet.cached, "every process is back by itself")


async def test_what_was_written_while_valkey_was_slow_is_told_although_no_connection_broke(pair: Pair) -> None:
    """Too slow for a request, fast enough for the heartbeat: there is no return at which to settle."""
    user = await pair.fleet.user()
    pair.proxy.late_s = 0.12
    try:
        for turn in range(8):
            title = f"Written slowly {turn}"
            await titles(pair.near, user)
            await task(pair.far, user, title)
            assert (await titles(pair.far, user))[0] == title

            async def told(title: str = title) -> bool:
                return await sees(pair.near, user, title)

            await until(told, "the other has been told", within_s=3)
    finally:
        pair.proxy.late_s = 0.0
    await until(pair.fleet.cached, "every process is back by itself")
