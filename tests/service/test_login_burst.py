"""Hashing is slow on purpose; a burst of logins waits for itself and for nobody else."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from httpx2 import Response

from service.settings import Passwords, Settings
from tests.support.client import Client, User, running
from tests.support.outage import busy, changed

_BURST = 40


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the hash of production. The threads are nice: on a busy machine forty of them outlast the deadline."""
    return changed(settings, http={"deadline_s": 60}).model_copy(update={"passwords": Passwords()})


@pytest.fixture
async def user(client: Client) -> User:
    return await client.user()


def login(client: Client, user: User) -> asyncio.Task[Response]:
    body = {"email": user.email, "password": user.password}
    return asyncio.create_task(client.post("/auth/login", json=body))


async def test_others_are_answered_while_a_burst_of_logins_is_worked_on(client: Client, user: User) -> None:
    logins = [login(client, user) for _ in range(_BURST)]
    await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
    left: list[int] = []
    for path in ("/tasks", "//health/live", "/auth/me", "//health/ready", "/tasks"):
        assert (await client.get(path, user)).status_code == 200
        left.append(sum(not task.done() for task in logins))
    assert (await client.post("/tasks", user, json={"title": "Meanwhile"})).status_code == 201
    left.append(sum(not task.done() for task in logins))
    assert left[-1] > 0, f"logins that were left after each request: {left}"
    assert {(await task).status_code for task in logins} == {200}


async def test_registrations_hold_no_connection_while_they_wait_for_their_hash(client: Client, user: User) -> None:
    """More of them than write connections; a task is created in between."""
    bodies = [{"name": "Ada", "email": f"burst{n}@example.com", "password": user.password} for n in range(20)]
    registrations = [asyncio.create_task(client.post("/auth/register", json=body)) for body in bodies]
    await asyncio.wait(registrations, return_when=asyncio.FIRST_COMPLETED)
    assert (await client.post("/tasks", user, json={"title": "Meanwhile"})).status_code == 201
    assert any(not task.done() for task in registrations)
    assert {(await task).status_code for task in registrations} == {201}


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Client]:
    async with running(changed(settings, passwords={"queue": 2})) as client:
        yield client


async def test_a_login_beyond_the_queue_is_told_to_come_back(narrow: Client) -> None:
    user = await narrow.user()
    release = threading.Event()
    narrow.parts.passwords._threads.submit(release.wait, 30)  # the one thread is busy
    try:
        logins = [login(narrow, user) for _ in range(6)]
        early = asyncio.as_completed(logins)
        for _ in range(3):
            busy(await next(early))
        assert (await narrow.get("/tasks", user)).status_code == 200
    finally:
        release.set()
    answers = await asyncio.gather(*logins)
    assert sorted(response.status_code for response in answers) == [200] * 3 + [503] * 3
    assert (await login(narrow, user)).status_code == 200
