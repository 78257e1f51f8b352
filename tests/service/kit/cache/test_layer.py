"""What a client sees of the cache: nothing but the same answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from httpx2 import Response
from prometheus_client import REGISTRY

from service.auth.service import make_admin
from service.kit.cache.layer import Rule
from service.kit.cache.store import Store
from service.kit.db import DIRECTORY
from service.tasks import service as tasks_service
from tests.support.client import Client, User
from tests.support.problems import problem_of
from tests.support.valkey import ValkeyServer
from tests.support.wait import until

_OWN = {"date", "x-request-id"}


def count(name: str, **labels: str) -> float:
    families = [family for family in REGISTRY.collect() if family.name == f"tasks_cache_{name}"]
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"tasks_cache_{name}_total" and labels.items() <= dict(sample.labels).items()
    )


def shown(response: Response) -> tuple[int, bytes, dict[str, str]]:
    return (
        response.status_code,
        response.content,
        {name: value for name, value in response.headers.items() if name not in _OWN},
    )


async def addresses(client: Client, user: User) -> list[str]:
    first = await client.task(user, "The first one")
    await client.task(user, "The second one")
    return ["/tasks", "/tasks?page=1&limit=1", "/tasks?cursor=", f"/tasks/{first['id']}", "/auth/me"]


async def test_each_kept_answer_is_the_routes_own_to_the_last_header(cached: Client) -> None:
    user = await cached.user()
    for path in await addresses(cached, user):
        misses = count("misses")
        first = await cached.get(path, user)
        assert count("misses") == misses + 1, path
        hits = count("hits", tier="process")
        second = await cached.get(path, user)
        assert (count("misses"), count("hits", tier="process")) == (misses + 1, hits + 1), path
        assert shown(first) == shown(second)
        assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_not_modified_is_the_same_from_the_cache(cached: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = await cached.user()
    for path in await addresses(cached, user):
        etag = (await cached.get(path, user)).headers["etag"]
        hits = count("hits", tier="process")
        for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            condition = {"If-None-Match": sent}
            kept = await cached.get(path, user, headers=condition)
            assert kept.status_code == 304
            with monkeypatch.context() as patch:
                patch.setattr(Store, "on", False)
                assert shown(kept) == shown(await cached.get(path, user, headers=condition))
        assert count("hits", tier="process") == hits + 4
        assert (await cached.get(path, user, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_the_condition_of_one_caller_is_not_the_answer_of_another(cached: Client, valkey: ValkeyServer) -> None:
    """A miss that asks with If-None-Match fills the cache with the whole answer, whoever waits for it."""
    user = await cached.user()
    for path in await addresses(cached, user):
        etag = (await cached.get(path, user)).headers["etag"]
        valkey.change("FLUSHALL")
        hit, misses = {"If-None-Match": etag}, count("misses")
        several = await asyncio.gather(
            cached.get(path, user, headers=hit),
            cached.get(path, user),
            cached.get(path, user, headers={"If-None-Match": '"other"'}),
            cached.get(path, user, headers=hit),
        )
        assert [answer.status_code for answer in several] == [304, 200, 200, 304]
        assert [bool(answer.content) for answer in several] == [False, True, True, False]
        assert count("misses") == misses + 1
        assert (await cached.get(path, user)).status_code == 200


async def test_head_and_a_trailing_slash_are_answered_from_what_get_filled(cached: Client) -> None:
    user = await cached.user()
    for path in await addresses(cached, user):
        first = await cached.get(path, user)
        misses = count("misses")
        head = await cached.call("HEAD", path, user)
        address, mark, query = path.partition("?")
        slash = await cached.get(f"{address}/{mark}{query}", user)
        assert count("misses") == misses
        assert shown(slash) == shown(first)
        assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])
        assert head.headers["content-length"] == first.headers["content-length"]


async def test_other_methods_and_tokens_go_to_the_route(cached: Client) -> None:
    user = await cached.user()
    await cached.get("/tasks", user)
    problem_of(await cached.get("/tasks"), 401)
    problem_of(await cached.get("/tasks", headers={"Authorization": "Bearer nonsense"}), 401)
    problem_of(await cached.get("/tasks", headers={"Authorization": f"Basic {user.token}"}), 401)
    problem_of(await cached.call("PATCH", "/tasks", user), 405)
    assert (await cached.get("/tasks", headers={"Authorization": f"bearer {user.token}"})).status_code == 200


async def test_what_is_refused_is_not_kept(cached: Client) -> None:
    owner, other = await cached.user(), await cached.user()
    kept = await cached.task(owner)
    absent = kept["id"] + 1
    for _ in range(2):
        problem_of(await cached.get(f"/tasks/{kept['id']}", other), 403)
        problem_of(await cached.get(f"/tasks/{absent}", other), 404)
        problem_of(await cached.get("/tasks?limit=0", other), 400)
        problem_of(await cached.get("/users/stats", other), 403)
    # Whether it is there now is known at once, though its owner's writes do not end what others were told.
    made = await cached.task(owner)
    assert made["id"] == absent
    problem_of(await cached.get(f"/tasks/{absent}", other), 403)
    await cached.delete(f"/tasks/{kept['id']}", owner)
    problem_of(await cached.get(f"/tasks/{kept['id']}", other), 404)


async def test_what_an_administrator_reads_of_others_is_not_kept(cached: Client) -> None:
    owner, admin = await cached.user(), await cached.admin()
    task = await cached.task(owner, "As it was")
    path = f"/tasks/{task['id']}"
    etag = (await cached.get(path, admin)).headers["etag"]
    assert (await cached.get(path, admin, headers={"If-None-Match": etag})).status_code == 304
    await cached.put(path, owner, json={"title": "As it is"})
    assert (await cached.get(path, admin)).json()["data"]["task"]["title"] == "As it is"
    await cached.delete(path, owner)
    problem_of(await cached.get(path, admin), 404)


async def test_a_changed_role_has_other_answers(cached: Client) -> None:
    """The command line promotes without Valkey, so nobody is told: a new token alone has to make the difference."""
    user = await cached.user()
    before = (await cached.get("/auth/me", user)).json()["data"]["user"]
    assert before["role"] == "USER"
    async with cached.parts.db.write(DIRECTORY) as session:
        await make_admin(session, cached.parts.revocations, email=user.email, name="Unused", hashed="unused")
    answer = await cached.post("/auth/login", json={"email": user.email, "password": user.password})
    risen = User(user.id, user.email, answer.json()["data"]["token"])
    assert (await cached.get("/auth/me", risen)).json()["data"]["user"]["role"] == "ADMIN"


async def test_who_comes_after_a_write_does_not_wait_for_a_load_from_before_it(
    cached: Client, valkey: ValkeyServer, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await cached.user()
    has_read, go_on = asyncio.Event(), asyncio.Event()
    page: Callable[..., Awaitable[Any]] = tasks_service.page

    async def held(*arguments: Any) -> Any:
        read = await page(*arguments)
        if not has_read.is_set():
            has_read.set()
            await go_on.wait()
        return read

    monkeypatch.setattr(tasks_service, "page", held)

    async def seen() -> list[str]:
        return [task["title"] for task in (await cached.get("/tasks", user)).json()["data"]["tasks"]]

    early = asyncio.create_task(seen())
    await has_read.wait()
    async with asyncio.timeout(5):
        await cached.task(user, "Written here")
        assert await seen() == ["Written here"]
        sql.execute("INSERT INTO tasks (title, user_id) VALUES ('Written elsewhere', %s)", (user.id,))
        valkey.change("SET", f"tasks:g:{user.id}", "as another process would")
        late = await seen()
        assert "Written elsewhere" in late
    go_on.set()
    assert await early == []
    # What the slow one brought is not kept for anybody.
    assert await seen() == late


async def test_a_failed_load_leaves_nothing_behind(
    cached: Client, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await cached.user()
    page: Callable[..., Awaitable[Any]] = tasks_service.page

    async def broken(*_: Any) -> Any:
        monkeypatch.setattr(tasks_service, "page", page)
        raise RuntimeError("made by a test")

    monkeypatch.setattr(tasks_service, "page", broken)
    answers = await asyncio.gather(*(cached.get("/tasks", user) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, Response) and answer.status_code == 200 for answer in answers) == 4
    hits = count("hits", tier="process")
    for _ in range(2):
        assert (await cached.get("/tasks", user)).status_code == 200
    assert count("hits", tier="process") >= hits + 1
    assert valkey.names("tasks:l:*") == [], "no other process waits for a load that has failed"


def test_what_is_dear_to_load_is_loaded_seldom() -> None:
    rule = Rule("statistics", "/users/stats", fresh_s=0.5, stale_s=0.25, rest=50)
    assert rule.times(0.004) == (0.5, 0.25)
    assert rule.times(0.2) == (10.0, 5.0)
    assert Rule("page", "/tasks").times(0.2) == (None, 0.0)


async def test_statistics_are_served_stale_within_their_second_only(
    cached: Client, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine even this little table takes long, and would be asked for more seldom.
    monkeypatch.setattr(Rule, "times", lambda rule, _took_s: (rule.fresh_s, rule.stale_s))
    admin, user = await cached.admin(), await cached.user()

    async def total() -> int:
        answer = await cached.get("/users/stats", admin)
        assert answer.status_code == 200
        found: int = answer.json()["data"]["totalTasks"]
        return found

    stale, misses = count("stale", kind="statistics"), count("misses", kind="statistics")
    for expected in range(1, 4):
        await total()
        sql.execute("INSERT INTO tasks (title, user_id) VALUES ('Behind everybody', %s)", (user.id,))
        begun = time.monotonic()

        async def renewed(expected: int = expected, begun: float = begun) -> bool:
            asked = time.monotonic()
            now = await total() == expected
            assert now or asked - begun <= 1.0, "served beyond its second"
            return now

        await until(renewed, "the numbers are new")
    assert count("stale", kind="statistics") > stale, "asked all the time, the dashboard never waits"
    assert count("misses", kind="statistics") - misses <= 10


async def test_an_administrators_own_write_changes_the_numbers_at_once(cached: Client) -> None:
    admin, users = await cached.admin(), [await cached.user() for _ in range(3)]
    for left, user in zip((4, 3, 2), users, strict=True):
        assert (await cached.get("/users/stats", admin)).json()["data"]["totalUsers"] == left
        assert (await cached.delete(f"/users/{user.id}", admin)).status_code == 200
    assert (await cached.get("/users/stats", admin)).json()["data"]["totalUsers"] == 1
