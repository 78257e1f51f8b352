"""What ends a token: its time, a logout, a changed role, a deleted user, a removed key; cached or not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import psycopg
import pytest

from service.app import build_parts
from service.kit.keys import SPREAD_S
from service.settings import Database, Settings
from tests.support.client import PASSWORD, Client, User, running
from tests.support.keys import age
from tests.support.net import free_port
from tests.support.problems import problem_of
from tests.support.server import Server, door, environment, serving
from tests.support.tokens import claims_of, header_of
from tests.support.wait import until

BOUND_S = 2.0


async def status(client: Client, token: str) -> int:
    response = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    if response.status_code != 200:
        problem_of(response, 401, "not_signed_in")
    return response.status_code


async def login(client: Client, user: User) -> str:
    response = await client.post("/auth/login", json={"email": user.email, "password": user.password})
    token: str = response.json()["data"]["token"]
    return token


def set_clock(client: Client, moment: float) -> None:
    client.parts.tokens._clock = lambda: moment


async def test_a_token_that_expires_in_the_cache_is_refused(client: Client) -> None:
    user = await client.user()
    expires = claims_of(user.token)["exp"]
    leeway = client.parts.settings.tokens.leeway_s
    for moment, expected in ((time.time(), 200), (expires - 1, 200), (expires + leeway, 401), (expires + 10**6, 401)):
        set_clock(client, moment)
        assert await status(client, user.token) == expected, moment - expires


async def test_a_refused_token_does_not_come_back(client: Client) -> None:
    user = await client.user()
    assert await status(client, user.token) == 200
    set_clock(client, claims_of(user.token)["exp"] + 60)
    assert await status(client, user.token) == 401
    set_clock(client, time.time())
    assert (await client.post("/auth/logout", user)).status_code == 200
    for _ in range(2):
        assert await status(client, user.token) == 401


@pytest.mark.parametrize("how", ["logout", "delete"])
async def test_a_revoked_token_stays_dead_through_the_leeway_at_its_end(client: Client, how: str) -> None:
    """An expired token is taken for some seconds more; a revocation that goes earlier would let it live again."""
    user, admin = await client.user(), await client.admin()
    if how == "logout":
        assert (await client.post("/auth/logout", user)).status_code == 200
    else:
        assert (await client.delete(f"/users/{user.id}", admin)).status_code == 200
    expires = claims_of(user.token)["exp"]
    for moment in (expires - 1, expires, expires + 1, expires + client.parts.settings.tokens.leeway_s - 1):
        set_clock(client, moment)
        client.parts.revocations.forget_expired(moment)
        assert await status(client, user.token) == 401, moment - expires


async def test_a_revocation_is_stored_for_longer_than_the_token_can_be_used(
    client: Client, sql: psycopg.Connection
) -> None:
    user = await client.user()
    await client.post("/auth/logout", user)
    row = sql.execute("SELECT extract(epoch FROM expires_at)::float8 FROM revocations").fetchone()
    assert row is not None
    assert row[0] > claims_of(user.token)["exp"] + 60  # the longest leeway that can be set


@pytest.mark.parametrize("entries", [0, 2])
async def test_the_cache_of_checked_tokens_is_bounded_and_changes_no_answer(settings: Settings, entries: int) -> None:
    tokens = settings.tokens.model_copy(update={"cache_entries": entries})
    async with running(settings.model_copy(update={"tokens": tokens})) as client:
        users = [await client.user() for _ in range(5)]
        for _ in range(2):
            for user in users:
                response = await client.get("/auth/me", user)
                assert response.json()["data"]["user"]["id"] == user.id
        assert len(client.parts.tokens._verified) <= entries
        await client.post("/auth/logout", users[0])
        assert [await status(client, user.token) for user in users] == [401, 200, 200, 200, 200]


async def test_a_new_process_refuses_what_was_revoked_before_it_began(settings: Settings) -> None:
    async with running(settings) as client:
        user, other = await client.user(), await client.user()
        await client.post("/auth/logout", user)
    async with running(settings) as client:
        assert await status(client, user.token) == 401
        assert await status(client, other.token) == 200


async def test_until_revocations_are_known_no_token_is_taken_and_none_is_called_bad(
    settings: Settings,
) -> None:
    async with running(settings) as client:
        user = await client.user()
    gone = Database.model_validate({"url": f"postgresql://postgres@127.0.0.1:{free_port()}/x"})
    async with running(settings.model_copy(update={"database": gone})) as client:
        response = await client.get("/tasks", user)
        problem_of(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) >= 1
        problem_of(await client.get("/tasks", headers={"Authorization": "Bearer a.b.c"}), 401)


@pytest.fixture
async def two(
    client: Client, database: Database, tmp_path: Path, token_folder: Path
) -> AsyncIterator[tuple[Client, Server]]:
    """Two processes of one service: this one, and one behind a socket."""
    with serving(database, tmp_path, {"TASKS_TOKENS_FOLDER": str(token_folder)}) as server:
        yield client, server


async def test_a_logout_is_heard_by_the_other_process_in_time(two: tuple[Client, Server]) -> None:
    client, server = two
    user = await client.user()
    here, there = user.token, await login(client, user)
    elsewhere = Elsewhere(server)
    assert [await status(client, here), await elsewhere.status(here), await elsewhere.status(there)] == [200, 200, 200]
    assert (await client.post("/auth/logout", user)).status_code == 200
    assert await status(client, here) == 401
    took = await until(lambda: elsewhere.refuses(here), "the other process refuses it", 10)
    assert took < BOUND_S
    assert await elsewhere.status(there) == 200, "another session of the same user goes on"


async def test_a_changed_role_ends_all_sessions_on_all_processes_in_time(
    two: tuple[Client, Server], database: Database, token_folder: Path
) -> None:
    """As an operator changes it: on the command line, a third process."""
    client, server = two
    user = await client.user()
    sessions = [user.token, await login(client, user), await login(client, user)]
    elsewhere = Elsewhere(server)
    for token in sessions:
        assert await status(client, token) == await elsewhere.status(token) == 200
    env = environment(database, token_folder)
    done = await asyncio.to_thread(
        door, "create-admin", "--email", user.email, "--name", "Ada", "--password-stdin", env=env, stdin=f"{PASSWORD}\n"
    )
    assert done.returncode == 0, done.stderr

    async def all_refused() -> bool:
        here = [await status(client, token) for token in sessions]
        return {*here, *[await elsewhere.status(token) for token in sessions]} == {401}

    assert await until(all_refused, "every session has ended", 10) < BOUND_S
    assert claims_of(await login(client, user))["role"] == "ADMIN"


class Elsewhere:
    """The other process, asked with a token."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def status(self, token: str) -> int:
        async with httpx2.AsyncClient() as http:
            headers = {"Authorization": f"Bearer {token}"}
            return (await http.get(f"{self._server.url}/api/v1/auth/me", headers=headers)).status_code

    async def refuses(self, token: str) -> bool:
        return await self.status(token) == 401


@pytest.fixture
async def rotating(settings: Settings, tmp_path: Path) -> AsyncIterator[Client]:
    """A service with a key folder of its own."""
    tokens = settings.tokens.model_copy(update={"folder": tmp_path / "keys"})
    async with running(settings.model_copy(update={"tokens": tokens})) as client:
        yield client


async def test_a_new_key_signs_when_every_process_has_had_time_to_read_it(rotating: Client) -> None:
    folder, user = rotating.parts.folder, await rotating.user()
    first = header_of(user.token)["kid"]
    second = folder.add(retire_after_s=None)
    folder.reload()
    published = (await rotating.get("//.well-known/jwks.json")).json()["keys"]
    assert {key["kid"] for key in published} == {first, second}
    assert header_of(await login(rotating, user))["kid"] == first, "others may not know the second key yet"
    age(folder, SPREAD_S + 1)
    folder.reload()
    new = await login(rotating, user)
    assert header_of(new)["kid"] == second
    assert await status(rotating, new) == 200
    assert await status(rotating, user.token) == 200, "what the old key signed goes on"


@pytest.mark.parametrize("cached", [True, False])
async def test_a_token_dies_with_its_key(rotating: Client, *, cached: bool) -> None:
    folder, user = rotating.parts.folder, await rotating.user()
    if cached:
        assert await status(rotating, user.token) == 200
    folder.add(retire_after_s=None)
    (folder._folder / f"{header_of(user.token)['kid']}.pem").unlink()
    folder.reload()
    assert await status(rotating, user.token) == 401
    assert await status(rotating, await login(rotating, user)) == 200


async def test_a_running_process_takes_up_and_drops_keys_by_itself(rotating: Client) -> None:
    folder, user = rotating.parts.folder, await rotating.user()
    second = folder.add(retire_after_s=None)
    age(folder, SPREAD_S + 1)

    async def signs_with_second() -> bool:
        return bool(header_of(await login(rotating, user))["kid"] == second)

    await until(signs_with_second, "the new key signs")
    (folder._folder / f"{header_of(user.token)['kid']}.pem").unlink()

    async def old_is_dead() -> bool:
        return await status(rotating, user.token) == 401

    await until(old_is_dead, "the removed key is forgotten")


async def test_a_folder_that_is_lost_while_running_ends_no_session(rotating: Client) -> None:
    user = await rotating.user()
    folder = rotating.parts.folder._folder
    folder.rename(folder.with_name("elsewhere"))
    rotating.parts.folder.reload()
    assert await status(rotating, user.token) == 200
    assert await status(rotating, await login(rotating, user)) == 200


async def test_each_deployment_has_keys_of_its_own(
    settings: Settings, tmp_path: Path, make_database: Callable[..., Database], template: str
) -> None:
    async with running(settings) as client:
        user = await client.user()
    tokens = settings.tokens.model_copy(update={"folder": tmp_path / "keys"})
    other = settings.model_copy(update={"database": make_database(template), "tokens": tokens})
    assert build_parts(other).fingerprints != build_parts(settings).fingerprints
    async with running(other) as client:
        assert (await client.user()).id == user.id
        assert await status(client, user.token) == 401
