"""The rules of the cache, with three processes on one database and one Valkey."""

import asyncio
import itertools
import random
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from tests.support.cached import Fleet, burst, cached_fleet, counted, task, titles
from tests.support.client import User
from tests.support.postgres import Postgres
from tests.support.valkey import ValkeyServer
from tests.support.wait import until

# The contract's bounds, and what a busy machine may add to the longer one.
_SEEN_S = 1.0
_DEAD_S = 2.0
_MARGIN_S = 1.0
# Long after the push, so that a test can tell them apart.
_POLL_S = 2.0


@pytest.fixture(scope="module")
async def fleet(
    postgres: Postgres, template: str, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    postgres.create("cached", template)
    env = {"TASKS_VALKEY_URL": valkey.url, "TASKS_TOKENS_REVOCATION_POLL_S": str(_POLL_S)}
    # On a busy machine a process may take longer than a request of production may wait; no rule here depends on it.
    env["TASKS_VALKEY_BUDGET_S"] = "1"
    async with cached_fleet(postgres.settings("cached"), tmp_path_factory.mktemp("cached"), [env] * 3) as fleet:
        yield fleet
    postgres.drop("cached")


async def everywhere(fleet: Fleet, user: User, query: str = "") -> list[list[str]]:
    return list(await asyncio.gather(*(titles(http, user, query) for http in fleet.processes)))


async def test_a_writer_reads_its_own_write_at_once_from_every_process(fleet: Fleet) -> None:
    user = await fleet.user()
    choose = random.Random(4)
    numbers = itertools.count(1)
    expected: dict[int, str] = {}
    writing = True

    async def other_sessions(http: AsyncClient) -> None:
        """Keep every process loading and keeping while the writes go on."""
        while writing:
            await titles(http, user, "?limit=100")

    async def check(writer: AsyncClient) -> None:
        for http in choose.sample(fleet.processes, 3):
            assert await titles(http, user, "?limit=100&sort=createdAt") == list(expected.values())
            assert set(await titles(http, user, "?limit=100")) == set(expected.values())
        changed = choose.choice(list(expected))
        one = await choose.choice(fleet.processes).get(f"/tasks/{changed}", headers=user.headers)
        assert one.json()["data"]["task"]["title"] == expected[changed]

    readers = [asyncio.create_task(other_sessions(http)) for http in fleet.processes]
    try:
        for turn in range(60):
            writer = fleet.processes[turn % 3]
            title = f"Write number {next(numbers)}"
            known = choose.choice(list(expected)) if len(expected) > 3 else None
            if known is None or turn % 3 == 0:
                expected[(await task(writer, user, title))["id"]] = title
            elif len(expected) > 10:
                del expected[known]
                assert (await writer.delete(f"/tasks/{known}", headers=user.headers)).status_code == 200
            else:
                expected[known] = title
                put = await writer.put(f"/tasks/{known}", headers=user.headers, json={"title": title})
                assert put.status_code == 200
            await check(writer)
    finally:
        writing = False
        await asyncio.gather(*readers)


async def test_another_session_of_the_user_sees_it_within_a_second(fleet: Fleet) -> None:
    user = await fleet.user()
    other = await fleet.again(user)
    for writer, reader in itertools.permutations(fleet.processes, 2):
        await titles(reader, other)
        title = f"Seen from {reader.base_url}"
        await task(writer, user, title)

        async def seen(reader: AsyncClient = reader, title: str = title) -> bool:
            return title in await titles(reader, other)

        assert await until(seen, "the other session sees it") <= _SEEN_S


async def test_an_answer_is_never_another_users(fleet: Fleet) -> None:
    users = [await fleet.user() for _ in range(2)]
    tasks = [await task(fleet.processes[0], user, f"Secret of {user.email}") for user in users]
    hits = await fleet.counted("tasks_cache_hits_total")
    for _, http, (number, user) in itertools.product(range(3), fleet.processes, enumerate(users)):
        assert await titles(http, user) == [f"Secret of {user.email}"]
        me = await http.get("/auth/me", headers=user.headers)
        assert me.json()["data"]["user"]["email"] == user.email
        own = await http.get(f"/tasks/{tasks[number]['id']}", headers=user.headers)
        assert own.json()["data"]["task"]["title"] == f"Secret of {user.email}"
        others = await http.get(f"/tasks/{tasks[1 - number]['id']}", headers=user.headers)
        assert others.status_code == 403
    assert await fleet.counted("tasks_cache_hits_total") >= hits + 30


async def dead(fleet: Fleet, user: User) -> bool:
    answers = [
        await http.get(path, headers=user.headers) for http in fleet.processes for path in ("/tasks", "/auth/me")
    ]
    return all(answer.status_code == 401 for answer in answers)


async def test_a_deleted_user_gets_no_answer_any_more(fleet: Fleet) -> None:
    user, admin = await fleet.user(), await fleet.admin()
    await everywhere(fleet, user)
    assert (await fleet.processes[1].delete(f"/users/{user.id}", headers=admin.headers)).status_code == 200
    for http in fleet.processes:
        me = await http.get("/auth/me", headers=user.headers)
        assert me.status_code == 401, "their answers end with the deletion, even before the token does"
    assert await until(lambda: dead(fleet, user), "the deleted user is unknown") <= _DEAD_S + _MARGIN_S
    for _ in range(20):
        assert await dead(fleet, user)


async def test_a_logout_is_pushed_well_before_the_next_poll(fleet: Fleet) -> None:
    """Six in a row: without the push most would wait for a part of the 2 s, and hardly all for a short one."""
    for here, there in itertools.permutations(fleet.processes, 2):
        user = await fleet.user()
        await everywhere(fleet, user)
        assert (await here.post("/auth/logout", headers=user.headers)).status_code == 200
        assert (await here.get("/tasks", headers=user.headers)).status_code == 401

        async def refused(there: AsyncClient = there, user: User = user) -> bool:
            return (await there.get("/tasks", headers=user.headers)).status_code == 401

        assert await until(refused, "the push has come") < 1.5
        await until(lambda user=user: dead(fleet, user), "everybody knows", within_s=_DEAD_S + _MARGIN_S)  # type: ignore[misc]


async def test_a_lost_connection_empties_the_tier(fleet: Fleet, valkey: ValkeyServer) -> None:
    """Nobody is told of what changes now: neither the process that is cut off nor, by it, its clients."""
    user = await fleet.user()
    await task(fleet.processes[0], user, "As it was")
    for _ in range(2):
        assert await everywhere(fleet, user) == [["As it was"]] * 3
    connections = valkey.trackers()
    assert len(connections) == 3
    for connection in connections:
        valkey.ask("CLIENT", "KILL", "ID", connection)
    with fleet.sql() as sql:
        sql.execute("UPDATE tasks SET title = 'As it is' WHERE user_id = %s", (user.id,))
    valkey.ask("DEL", f"tasks:g:{user.id}")
    for _ in range(10):
        assert await everywhere(fleet, user) == [["As it is"]] * 3
    await until(fleet.cached, "every process has come back by itself")


async def test_a_lost_generation_brings_no_old_page_back(fleet: Fleet, valkey: ValkeyServer) -> None:
    """Evicted, say: the pages of the old one may well have outlived it."""
    user = await fleet.user()
    await task(fleet.processes[0], user, "As it was")
    for _ in range(2):
        await everywhere(fleet, user)
    before = valkey.names(f"tasks:p:{user.id}:*")
    assert before
    with fleet.sql() as sql:
        sql.execute("UPDATE tasks SET title = 'As it is' WHERE user_id = %s", (user.id,))
    assert valkey.change("DEL", f"tasks:g:{user.id}") == 1
    for _ in range(3):
        assert await everywhere(fleet, user) == [["As it is"]] * 3
    after = valkey.names(f"tasks:p:{user.id}:*")
    assert set(before) < set(after), "the old page is still there, under a name that nobody asks for"


async def test_an_emptied_valkey_costs_one_query_a_key(fleet: Fleet, valkey: ValkeyServer) -> None:
    users = [await fleet.user() for _ in range(5)]
    keys = [(user, f"?limit={limit}") for user in users for limit in range(1, 5)]
    for user in users:
        await task(fleet.processes[0], user, "Something to list")
    for user, query in keys:
        await everywhere(fleet, user, query)
    before = await fleet.counted("tasks_cache_misses_total")
    assert await fleet.counted("tasks_cache_hits_total", tier="valkey") > 0
    flushed = asyncio.Event()
    asked_after = 0

    async def load(http: AsyncClient, seed: int) -> None:
        nonlocal asked_after
        choose = random.Random(seed)
        while asked_after < 600:
            user, query = choose.choice(keys)
            assert await titles(http, user, query) == ["Something to list"]
            asked_after += flushed.is_set()

    clients = [asyncio.create_task(load(http, seed)) for seed, http in enumerate(fleet.processes * 3)]
    assert await asyncio.to_thread(valkey.ask, "FLUSHALL") == "OK"
    flushed.set()
    await asyncio.gather(*clients)
    queries = await fleet.counted("tasks_cache_misses_total") - before
    assert 0 < queries <= len(keys)


@pytest.mark.parametrize("size", [1, 3])
async def test_a_burst_on_what_nobody_holds_is_one_load(fleet: Fleet, valkey: ValkeyServer, size: int) -> None:
    user = await fleet.user()
    await task(fleet.processes[0], user, "Wanted by many")
    servers = fleet.servers[:size]
    for missing in ("never asked for", "gone from everywhere"):
        before = await fleet.counted("tasks_cache_misses_total")
        answers = await burst(servers, "/tasks", user, 500)
        assert {status for status, _ in answers} == {200}, missing
        assert len({body for _, body in answers}) == 1
        assert await fleet.counted("tasks_cache_misses_total") == before + 1, missing
        valkey.change("DEL", f"tasks:g:{user.id}")


async def test_a_burst_on_what_has_expired_is_one_load(
    postgres: Postgres, fleet: Fleet, valkey: ValkeyServer, tmp_path: Path
) -> None:
    env = {**fleet.servers[0].env, "TASKS_CACHE_TTL_S": "1"}
    async with cached_fleet(fleet.database, tmp_path, [env]) as short:
        user = await short.user()
        await task(short.processes[0], user, "Wanted by many")
        await titles(short.processes[0], user)
        before = await counted(short.servers[0], "tasks_cache_misses_total")
        begun = time.monotonic()

        async def expired() -> bool:
            return not await asyncio.to_thread(valkey.names, f"tasks:p:{user.id}:*")

        await until(expired, "Valkey has let go of the page")
        assert time.monotonic() - begun >= 0.5, "it was kept for about its second"
        answers = await burst(short.servers, "/tasks", user, 500)
        assert {status for status, _ in answers} == {200}
        assert await counted(short.servers[0], "tasks_cache_misses_total") == before + 1


async def test_limits_on_headers_hold_for_what_is_cached(fleet: Fleet) -> None:
    user = await fleet.user()
    for http in fleet.processes:
        for _ in range(2):
            await titles(http, user)
        answer = await http.get("/tasks", headers={**user.headers, "X-Filler": "x" * 40_000})
        assert answer.status_code == 431


async def test_the_process_tells_what_its_cache_does(fleet: Fleet) -> None:
    async with AsyncClient() as http:
        text = (await http.get(fleet.servers[0].metrics_url)).text
    for name in ("hits_total", "misses_total", "evictions_total", "load_seconds_count", "bytes"):
        assert f"tasks_cache_{name}" in text
    assert re.search(r'tasks_cache_hits_total\{kind="profile",tier="process"\} [1-9]', text)
    assert await counted(fleet.servers[0], "tasks_cache_bytes") > 0
