"""PostgreSQL is there and cannot serve: no connection free, locks, slow statements, a full disk, sessions that end."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.settings import Settings
from tests.support.client import Client, User, running
from tests.support.outage import busy, changed, quiet
from tests.support.postgres import Postgres
from tests.support.wait import until

_DONE = {"status": "COMPLETED"}
_FAR_MS = 60_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No time limit strikes but the one that a test shortens."""
    far = {"lock_timeout_ms": _FAR_MS, "statement_timeout_ms": _FAR_MS, "pool_timeout_s": 60}
    return changed(settings, database=far, http={"deadline_s": 60})


@contextmanager
def locked(settings: Settings, *tasks: int) -> Iterator[psycopg.Connection]:
    """Another session holds these rows; ending its transaction lets them go."""
    with psycopg.connect(settings.database.url.get_secret_value()) as holder:
        holder.execute("SELECT id FROM tasks WHERE id = ANY(%s) FOR UPDATE", (list(tasks),))
        yield holder


async def waiting(sql: psycopg.Connection, count: int = 1) -> None:
    """Until so many sessions of the service wait for a lock."""

    async def wait() -> bool:
        row = sql.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        assert row is not None
        return int(row[0]) >= count

    await until(wait, f"{count} sessions wait for a lock")


async def finish(client: Client, user: User, task: int, **headers: str) -> Any:
    return await client.put(f"/tasks/{task}", user, json=_DONE, headers=headers)


async def test_writes_beyond_the_pool_are_refused_at_once_while_all_else_goes_on(
    settings: Settings, sql: psycopg.Connection
) -> None:
    async with running(changed(settings, database={"write_pool_size": 2, "pool_timeout_s": 0.1})) as client:
        user = await client.user()
        tasks = [(await client.task(user))["id"] for _ in range(3)]
        await until(lambda: quiet(client), "what a process does at its start is done")
        with locked(settings, *tasks[:2]) as holder:
            held = [asyncio.create_task(finish(client, user, task)) for task in tasks[:2]]
            await waiting(sql, 2)
            assert client.parts.db.pools()["write"] == (2, 2)
            for refused in await asyncio.gather(*(finish(client, user, tasks[2]) for _ in range(5))):
                busy(refused)
            assert (await client.get("/tasks", user)).status_code == 200
            assert (await client.get(f"/tasks/{tasks[0]}", user)).status_code == 200
            assert (await client.get("//health/live")).status_code == 200
            assert (await client.get("//health/ready")).status_code == 200
            assert not any(task.done() for task in held)
            holder.rollback()
        assert [(await task).status_code for task in held] == [200, 200]
        assert (await finish(client, user, tasks[2])).status_code == 200
        await until(lambda: quiet(client), "every connection is back")


async def test_a_locked_row_is_refused_and_others_are_not(settings: Settings) -> None:
    async with running(changed(settings, database={"lock_timeout_ms": 50})) as client:
        user = await client.user()
        kept, free = (await client.task(user))["id"], (await client.task(user))["id"]
        with locked(settings, kept):
            busy(await finish(client, user, kept))
            busy(await client.delete(f"/tasks/{kept}", user))
            assert (await finish(client, user, free)).status_code == 200
            assert (await client.get(f"/tasks/{kept}", user)).json()["data"]["task"]["status"] == "PENDING"
        assert (await finish(client, user, kept)).status_code == 200


async def test_a_locked_table_is_503_for_reads_too(settings: Settings, sql: psycopg.Connection) -> None:
    async with running(changed(settings, database={"lock_timeout_ms": 50})) as client:
        user = await client.user()
        with psycopg.connect(settings.database.url.get_secret_value()) as holder:
            holder.execute("LOCK TABLE tasks")
            busy(await client.get("/tasks", user))
            assert (await client.get("/auth/me", user)).status_code == 200
            assert (await client.get("//health/ready")).status_code == 200
        assert (await client.get("/tasks", user)).status_code == 200


def slow(sql: psycopg.Connection, title: str, then: str = "PERFORM pg_sleep(60)") -> None:
    """A task of this title runs into ``then`` once its row is written."""
    sql.execute(
        f"""
        CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {then}; RETURN NULL; END $$;
        CREATE TRIGGER strike AFTER INSERT ON tasks FOR EACH ROW WHEN (NEW.title = '{title}')
            EXECUTE FUNCTION strike();
        """.encode()
    )


async def test_a_slow_statement_ends_by_itself_and_leaves_nothing(settings: Settings, sql: psycopg.Connection) -> None:
    async with running(changed(settings, database={"statement_timeout_ms": 500})) as client:
        user = await client.user()
        slow(sql, "Slow one")
        keyed = {"headers": {"Idempotency-Key": "k"}, "json": {"title": "Slow one"}}
        late, other = await asyncio.gather(
            client.post("/tasks", user, **keyed), client.post("/tasks", user, json={"title": "Quick one"})
        )
        busy(late)
        assert other.status_code == 201
        assert (await client.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"] == 1
        sql.execute("DROP TRIGGER strike ON tasks")
        again = await client.post("/tasks", user, **keyed)
        assert again.status_code == 201
        assert "idempotency-replayed" not in again.headers


async def test_the_victim_of_a_deadlock_is_told_to_come_back(settings: Settings, sql: psycopg.Connection) -> None:
    async with running(settings) as client:
        admin, user = await client.admin(), await client.user()
        task = (await client.task(user))["id"]
        with locked(settings, task) as other:
            other.execute("SET deadlock_timeout = '60s'")  # the service's session is the one that looks
            doomed = asyncio.create_task(client.delete(f"/users/{user.id}", admin))
            await waiting(sql)
            await asyncio.to_thread(other.execute, "SELECT id FROM users WHERE id = %s FOR UPDATE", (user.id,))
            busy(await doomed)
        assert (await client.get("/auth/me", user)).status_code == 200
        assert (await client.delete(f"/users/{user.id}", admin)).status_code == 200


@pytest.mark.parametrize("sqlstate", ["40001", "53100", "53300", "57P02", "58030"])
async def test_every_refusal_for_now_is_503(client: Client, sql: psycopg.Connection, sqlstate: str) -> None:
    user = await client.user()
    slow(sql, "Strike now", f"RAISE 'a name of a disk' USING ERRCODE = '{sqlstate}'")
    assert "disk" not in busy(await client.post("/tasks", user, json={"title": "Strike now"})).text
    assert (await client.get("/tasks", user)).status_code == 200
    assert (await client.post("/tasks", user, json={"title": "Quick one"})).status_code == 201


@pytest.fixture
def little_disk(postgres: Postgres, tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB that PostgreSQL may write to. Only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = postgres.data / "little"
    disk.mkdir()
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        postgres.host.hand_over(disk)
        yield disk
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def test_a_full_disk_is_503_for_writes_until_there_is_room(
    client: Client, sql: psycopg.Connection, little_disk: Path
) -> None:
    user = await client.user()
    sql.execute(f"CREATE TABLESPACE little LOCATION '{little_disk}'".encode())
    sql.execute("ALTER TABLE tasks SET TABLESPACE little")
    try:
        task = (await client.task(user))["id"]
        filler = little_disk / "filler"
        fill(filler)
        big = {"title": "Write the report", "description": "x" * 500}

        async def is_full() -> bool:
            return (await client.post("/tasks", user, json=big)).status_code != 201

        await until(is_full, "the page in use is full and no new one can be had")
        busy(await client.post("/tasks", user, json=big))
        busy(await client.put(f"/tasks/{task}", user, json={"description": "y" * 500}))
        assert (await client.get("/tasks", user)).status_code == 200
        assert (await client.get("//health/ready")).status_code == 200
        filler.unlink()
        assert (await client.post("/tasks", user, json={"title": "There is room"})).status_code == 201
    finally:
        sql.execute("ALTER TABLE tasks SET TABLESPACE pg_default")
        sql.execute("DROP TABLESPACE little")


async def test_ended_sessions_are_replaced_and_what_they_did_is_503(
    settings: Settings, sql: psycopg.Connection
) -> None:
    end = """
        SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'tasks-%'
    """
    async with running(settings) as client:
        user = await client.user()
        task = (await client.task(user))["id"]
        with locked(settings, task):
            held = asyncio.create_task(finish(client, user, task))
            await waiting(sql)
            await asyncio.to_thread(sql.execute, end.encode())
            busy(await held)
        burst = [client.get("/tasks", user) for _ in range(10)] + [finish(client, user, task) for _ in range(10)]
        assert {response.status_code for response in await asyncio.gather(*burst)} == {200}
        await asyncio.to_thread(sql.execute, end.encode())
        burst = [client.get("/tasks", user) for _ in range(10)] + [finish(client, user, task) for _ in range(10)]
        assert {response.status_code for response in await asyncio.gather(*burst)} == {200}
