"""Two at once: whatever the order, what is stored is what one after the other could have stored."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from httpx2 import Response
from psycopg.sql import SQL, Identifier

from service.kit.db import UserId
from service.settings import Database
from service.tasks import repository
from tests.support.client import PASSWORD, Client
from tests.support.outage import fleet, joined
from tests.support.problems import problem_of

_TASK = {"title": "Write the report"}
_ACCOUNT = {"name": "Alan Turing", "email": "alan@example.com", "password": PASSWORD}
_KEY = {"Idempotency-Key": "one-and-the-same"}


def count(sql: psycopg.Connection, table: str) -> int:
    row = sql.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


async def at_once(times: int, call: Callable[[], Coroutine[Any, Any, Response]]) -> list[Response]:
    return await asyncio.gather(*(call() for _ in range(times)))


def unsigned(response: Response) -> str:
    """The answer without the signature of a token in it: ECDSA signs the same claims differently each time."""
    body = response.json()
    if "token" in body["data"]:
        body["data"]["token"] = body["data"]["token"].rpartition(".")[0]
    return json.dumps(body)


def one_and_replays(responses: list[Response]) -> None:
    """One did it; the others were told its answer, or that it was still running."""
    made = [response for response in responses if response.status_code == 201]
    assert sum("idempotency-replayed" not in response.headers for response in made) == 1
    assert len({unsigned(response) for response in made}) == 1
    for response in responses:
        if response.status_code != 201:
            problem_of(response, 409, "idempotency_key_running")
            assert response.headers["retry-after"] == "1"


async def test_twenty_times_the_same_task_is_one_task(client: Client, sql: psycopg.Connection) -> None:
    user = await client.user()
    one_and_replays(await at_once(20, lambda: client.post("/tasks", user, headers=_KEY, json=_TASK)))
    assert count(sql, "tasks") == 1


async def test_twenty_times_the_same_registration_is_one_user(client: Client, sql: psycopg.Connection) -> None:
    one_and_replays(await at_once(20, lambda: client.post("/auth/register", headers=_KEY, json=_ACCOUNT)))
    assert count(sql, "users") == 1


async def test_duplicates_through_two_processes_are_one_row(
    database: Database, sql: psycopg.Connection, tmp_path: Path
) -> None:
    async with fleet(database, tmp_path, 2) as processes:
        headers = {**await joined(processes[0]), **_KEY}
        turns = itertools.cycle(processes)
        one_and_replays(await at_once(20, lambda: next(turns).post("/tasks", headers=headers, json=_TASK)))
        one_and_replays(await at_once(20, lambda: next(turns).post("/auth/register", headers=_KEY, json=_ACCOUNT)))
        assert (count(sql, "tasks"), count(sql, "users")) == (1, 2)


async def test_of_two_writers_who_read_the_same_one_wins(client: Client) -> None:
    user = await client.user()
    task = (await client.task(user))["id"]
    tag = (await client.get(f"/tasks/{task}", user)).headers["etag"]
    numbers = itertools.count()
    answers = await at_once(
        10,
        lambda: client.put(
            f"/tasks/{task}", user, headers={"If-Match": tag}, json={"description": f"by {next(numbers)}"}
        ),
    )
    [won] = [response for response in answers if response.status_code == 200]
    for lost in answers:
        if lost is not won:
            problem_of(lost, 412, "stale")
    now = await client.get(f"/tasks/{task}", user)
    assert now.json()["data"]["task"]["description"] == won.json()["data"]["task"]["description"]
    assert now.headers["etag"] == won.headers["etag"]


async def test_an_update_and_a_delete_of_what_both_read_do_not_both_succeed(client: Client) -> None:
    user = await client.user()
    for _ in range(5):
        task = (await client.task(user))["id"]
        tag = {"If-Match": (await client.get(f"/tasks/{task}", user)).headers["etag"]}
        updated, deleted = await asyncio.gather(
            client.put(f"/tasks/{task}", user, headers=tag, json={"status": "COMPLETED"}),
            client.delete(f"/tasks/{task}", user, headers=tag),
        )
        assert (updated.status_code, deleted.status_code) in {(200, 412), (404, 200)}


async def test_of_many_deletes_one_finds_the_task(client: Client) -> None:
    user = await client.user()
    task = (await client.task(user))["id"]
    answers = await at_once(10, lambda: client.delete(f"/tasks/{task}", user))
    assert Counter(response.status_code for response in answers) == {200: 1, 404: 9}


async def test_concurrent_changes_of_different_members_are_all_kept(client: Client) -> None:
    user = await client.user()
    for _ in range(5):
        task = (await client.task(user))["id"]
        bodies = [{"title": "Another title"}, {"description": "Another text"}, {"status": "COMPLETED"}]
        answers = await asyncio.gather(*(client.put(f"/tasks/{task}", user, json=body) for body in bodies))
        assert {response.status_code for response in answers} == {200}
        stored = (await client.get(f"/tasks/{task}", user)).json()["data"]["task"]
        assert (stored["title"], stored["description"], stored["status"]) == (
            "Another title",
            "Another text",
            "COMPLETED",
        )


async def test_concurrent_changes_of_different_preferences_are_all_kept(client: Client) -> None:
    user = await client.user()
    bodies = [{"theme": "dark"}, {"notifications": {"email": False}}, {"pageSize": 50}]
    for _ in range(5):
        await client.put("/users/me/preferences", user, json={"theme": "light", "pageSize": 10})
        answers = await asyncio.gather(*(client.put("/users/me/preferences", user, json=body) for body in bodies))
        assert {response.status_code for response in answers} == {200}
        stored = (await client.get("/users/me/preferences", user)).json()["data"]["preferences"]
        assert (stored["theme"], stored["notifications"]["email"], stored["pageSize"]) == ("dark", False, 50)


async def test_of_many_registrations_of_one_address_one_succeeds(client: Client, sql: psycopg.Connection) -> None:
    spellings = itertools.cycle(("alan@example.com", "Alan@Example.com", " ALAN@EXAMPLE.COM "))
    answers = await at_once(6, lambda: client.post("/auth/register", json={**_ACCOUNT, "email": next(spellings)}))
    assert Counter(response.status_code for response in answers) == {201: 1, 400: 5}
    for response in answers:
        if response.status_code == 400:
            problem_of(response, 400, "email_taken")
    assert count(sql, "users") == 1


async def test_a_user_is_deleted_while_they_write(client: Client, sql: psycopg.Connection) -> None:
    admin, user = await client.admin(), await client.user()
    task = (await client.task(user))["id"]
    calls = [
        *(client.post("/tasks", user, json=_TASK) for _ in range(12)),
        client.delete(f"/users/{user.id}", admin),
        client.put(f"/tasks/{task}", user, json={"status": "COMPLETED"}),
        client.put("/users/me/preferences", user, json={"theme": "dark"}),
        *(client.post("/tasks", user, headers={"Idempotency-Key": f"{n}"}, json=_TASK) for n in range(12)),
        client.delete(f"/users/{user.id}", admin),
    ]
    answers = await asyncio.gather(*calls)
    assert {response.status_code for response in answers} <= {200, 201, 401, 404}
    assert sorted(answers[n].status_code for n in (12, -1)) == [200, 404]
    assert count(sql, "tasks") == 0
    assert count(sql, "preferences") == 0
    assert (await client.get("/tasks", user)).status_code == 401


async def test_updates_within_one_millisecond_have_different_moments(client: Client) -> None:
    """The entity tag is made of the moment: the same one twice would let a stale If-Match pass."""
    user = await client.user()
    made = await client.task(user)
    async with client.parts.db.write(UserId(user.id)) as session:
        task = await repository.lock(session, made["id"])
        assert task is not None
        moments = [task.updated_at]
        for _ in range(20):
            task = await repository.update(session, task)
            moments.append(task.updated_at)
    # Some of the twenty surely shared a millisecond of the clock.
    assert all(later - earlier >= timedelta(milliseconds=1) for earlier, later in itertools.pairwise(moments))
    assert all(moment.microsecond % 1000 == 0 for moment in moments)
