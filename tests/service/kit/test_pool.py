"""The pool on a real server: what it hands out works, and what it hands out is never more than it may."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from service.kit import pool as pools
from service.kit.pool import Connection, Pool, PoolExhaustedError
from service.settings import Database
from tests.support.net import free_port
from tests.support.wait import until


@pytest.fixture
def conninfo(make_database: Callable[..., Database]) -> str:
    return make_database().url.get_secret_value()


@pytest.fixture
def other(conninfo: str) -> Iterator[psycopg.Connection]:
    """Another session, that ends those of the pool."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def pool_of(conninfo: str, size: int = 2, timeout_s: float = 5.0, *, auto: bool = False) -> AsyncIterator[Pool]:
    pool = Pool(conninfo, name="test", size=size, timeout_s=timeout_s, autocommit=auto)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[Connection]:
    connection, dies_at = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection, dies_at)


async def one(connection: Connection, query: str) -> object:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row[0]


def sessions(conninfo: str) -> int:
    """Connections of this database besides the one that asks."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert row is not None
        return int(row[0])


async def test_a_hundred_borrowers_share_its_few_connections(conninfo: str) -> None:
    async with pool_of(conninfo, size=3) as pool:
        most = 0

        async def work() -> object:
            nonlocal most
            async with borrowed(pool) as connection:
                most = max(most, pool.in_use)
                return await one(connection, "SELECT pg_backend_pid()")

        seen = set(await asyncio.gather(*(work() for _ in range(100))))
        assert (most, pool.in_use) == (3, 0)
        assert len(seen) == sessions(conninfo) == 3


async def test_the_last_one_in_is_the_first_one_out(conninfo: str) -> None:
    async with pool_of(conninfo, size=3) as pool:
        taken = [await pool.acquire() for _ in range(3)]
        for connection, dies_at in taken:
            await pool.release(connection, dies_at)
        async with borrowed(pool) as last:
            assert last is taken[2][0]
            async with borrowed(pool) as second:
                assert second is taken[1][0]


async def test_a_connection_that_died_while_idle_is_replaced_unseen(conninfo: str, other: psycopg.Connection) -> None:
    async with pool_of(conninfo) as pool:
        async with borrowed(pool) as connection:
            first = await one(connection, "SELECT pg_backend_pid()")
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
        async with borrowed(pool) as connection:
            assert await one(connection, "SELECT pg_backend_pid()") != first
        assert pool.in_use == 0


async def test_a_connection_that_died_in_use_is_not_taken_back(conninfo: str, other: psycopg.Connection) -> None:
    async with pool_of(conninfo) as pool:
        async with borrowed(pool) as dead:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (await one(dead, "SELECT pg_backend_pid()"),))
            with pytest.raises(psycopg.OperationalError):
                await dead.execute("SELECT 1")
        assert dead.closed
        assert pool.in_use == 0
        async with borrowed(pool) as connection:
            assert await one(connection, "SELECT 1") == 1


async def test_a_connection_past_its_lifetime_is_replaced(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_LIFETIME_S", 0.0)
    async with pool_of(conninfo) as pool:
        async with borrowed(pool) as old:
            pass
        async with borrowed(pool) as new:
            assert new is not old
        assert old.closed
        assert sessions(conninfo) <= 2


async def test_a_connection_lives_at_least_four_fifths_of_the_lifetime(conninfo: str) -> None:
    async with pool_of(conninfo) as pool:
        begun = asyncio.get_running_loop().time()
        connection, dies_at = await pool.acquire()
        assert 0.8 * 1800 <= dies_at - begun <= 1800 + 5
        await pool.release(connection, dies_at)


async def test_an_open_or_failed_transaction_is_rolled_back_on_return(conninfo: str) -> None:
    async with pool_of(conninfo, size=1) as pool:
        async with borrowed(pool) as connection:
            await connection.execute("CREATE TABLE left_behind ()")
        async with borrowed(pool) as again:
            assert again is connection
            assert again.pgconn.transaction_status == TransactionStatus.IDLE
            assert await one(again, "SELECT to_regclass('left_behind')") is None
            with pytest.raises(psycopg.errors.DivisionByZero):
                await again.execute("SELECT 1/0")
        async with borrowed(pool) as third:
            assert third is connection
            assert await one(third, "SELECT 1") == 1


async def test_it_tells_in_time_that_nothing_came_free(conninfo: str) -> None:
    async with pool_of(conninfo, size=1, timeout_s=0.05) as pool:
        async with borrowed(pool):
            with pytest.raises(PoolExhaustedError):
                await pool.acquire()
            assert pool.in_use == 1
        async with borrowed(pool) as connection:
            assert await one(connection, "SELECT 1") == 1


async def test_one_who_waits_gets_what_is_given_back(conninfo: str) -> None:
    async with pool_of(conninfo, size=1) as pool:
        connection, dies_at = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        await pool.release(connection, dies_at)
        assert (await waiting)[0] is connection
        await pool.release(connection, dies_at)


async def test_a_cancelled_wait_or_connect_leaks_no_slot(conninfo: str) -> None:
    async with pool_of(conninfo, size=2) as pool:
        for turns in range(12):  # each turn of the loop is another place to be cancelled at
            task = asyncio.create_task(pool.acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.cancel():
                await pool.release(*task.result())
            await asyncio.wait({task})
            assert pool.in_use == 0
        first, second = await pool.acquire(), await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await pool.release(*first)
        await pool.release(*second)
        assert pool.in_use == 0
        taken = [await pool.acquire(), await pool.acquire()]
        for entry in taken:
            await pool.release(*entry)


async def test_a_cancelled_return_leaks_no_connection(conninfo: str) -> None:
    """The deadline may strike while a transaction is being rolled back."""
    async with pool_of(conninfo, size=1) as pool:
        connection, dies_at = await pool.acquire()
        await connection.execute("SELECT 1")
        task = asyncio.create_task(pool.release(connection, dies_at))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert pool.in_use == 0
        async with borrowed(pool) as next_one:
            assert await one(next_one, "SELECT 1") == 1
            if next_one is not connection:
                assert connection.closed


async def test_a_refused_connect_leaks_no_slot() -> None:
    async with pool_of(f"postgresql://nobody@127.0.0.1:{free_port()}/none", size=1) as pool:
        for _ in range(3):
            with pytest.raises(psycopg.OperationalError):
                await pool.acquire()
        assert pool.in_use == 0


async def test_closing_leaves_no_session_at_the_server(conninfo: str) -> None:
    async with pool_of(conninfo, size=3) as pool:
        taken = [await pool.acquire() for _ in range(3)]
        for entry in taken:
            await pool.release(*entry)
        assert sessions(conninfo) == 3

    async def gone() -> bool:
        return sessions(conninfo) == 0

    await until(gone, "no session is left")
