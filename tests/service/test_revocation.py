"""A dead token is dead for every process within 2 s, whichever of them was told."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from httpx2 import AsyncClient, Response

from service.admin import create_admin
from service.settings import Settings, Tokens
from tests.support.client import PASSWORD, User, running
from tests.support.outage import busy, changed, fleet
from tests.support.postgres import Postgres
from tests.support.proxy import proxied
from tests.support.wait import until

# The contract's bound, and what a busy machine may add to it.
_BOUND_S = 2.0
_MARGIN_S = 1.0


@dataclass(frozen=True)
class Fleet:
    """``settings`` make one more process of the same kind."""

    processes: list[AsyncClient]
    settings: Settings


@pytest.fixture(scope="module")
async def three(postgres: Postgres, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    postgres.create("fleet", template)
    folder = tmp_path_factory.mktemp("fleet")
    settings = Settings.model_validate(
        {
            "database": postgres.settings("fleet"),
            "tokens": Tokens(folder=folder / "tokens"),
            "passwords": {"memory_kib": 8, "passes": 1},
            "limits": {"on": False},
        }
    )
    async with fleet(settings.database, folder, 3) as processes:
        yield Fleet(processes, settings)
    postgres.drop("fleet")


@pytest.fixture
def hands(three: Fleet) -> Iterator[psycopg.Connection]:
    """A session whose transactions the test begins and ends."""
    with psycopg.connect(three.settings.database.url.get_secret_value()) as connection:
        yield connection


async def new_user(three: Fleet, email: str) -> User:
    body = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
    made = await three.processes[0].post("/auth/register", json=body)
    assert made.status_code == 201, made.text
    data = made.json()["data"]
    user = User(data["user"]["id"], email, data["token"])
    assert await statuses(three, user) == [200, 200, 200]
    return user


async def new_admin(three: Fleet, email: str) -> User:
    await create_admin(three.settings, email=email, name="Grace Hopper", password=PASSWORD)
    return await logged_in(three, email)


async def logged_in(three: Fleet, email: str) -> User:
    answer = await three.processes[0].post("/auth/login", json={"email": email, "password": PASSWORD})
    data = answer.json()["data"]
    return User(data["user"]["id"], email, data["token"])


async def statuses(three: Fleet, user: User) -> list[int]:
    answers = await asyncio.gather(*(http.get("/auth/me", headers=user.headers) for http in three.processes))
    return [answer.status_code for answer in answers]


async def dead_in_time(three: Fleet, user: User, since: float) -> None:
    async def dead() -> bool:
        return await statuses(three, user) == [401, 401, 401]

    await until(dead, "the token is dead for every process")
    assert time.monotonic() - since <= _BOUND_S + _MARGIN_S


def claims(user: User) -> dict[str, Any]:
    payload = user.token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read


def revoke(connection: psycopg.Connection, user: User) -> None:
    """What logout writes, in a transaction that the test commits when it likes."""
    told = claims(user)
    connection.execute(
        "INSERT INTO revocations (token_id, expires_at) VALUES (%s, to_timestamp(%s))", (told["jti"], told["exp"])
    )


async def test_logout_here_is_logout_everywhere(three: Fleet) -> None:
    user, other = await new_user(three, "out@example.com"), await new_user(three, "in@example.com")
    answer = await three.processes[1].post("/auth/logout", headers=user.headers)
    since = time.monotonic()
    assert answer.status_code == 200
    # The process that did it knows at once.
    assert (await three.processes[1].get("/auth/me", headers=user.headers)).status_code == 401
    await dead_in_time(three, user, since)
    assert await statuses(three, other) == [200, 200, 200]
    # Another session of the same user goes on.
    assert await statuses(three, await logged_in(three, user.email)) == [200, 200, 200]


async def test_the_tokens_of_a_deleted_user_die_everywhere(three: Fleet) -> None:
    admin = await new_admin(three, "boss@example.com")
    user = await new_user(three, "gone@example.com")
    sessions = [user, await logged_in(three, user.email)]
    assert (await three.processes[0].delete(f"/users/{user.id}", headers=admin.headers)).status_code == 200
    since = time.monotonic()
    # A process that has not heard yet still lets them do nothing.
    made = await three.processes[2].post("/tasks", headers=user.headers, json={"title": "From beyond"})
    assert made.status_code == 401
    for session in sessions:
        await dead_in_time(three, session, since)
    assert await statuses(three, admin) == [200, 200, 200]


async def test_a_changed_role_ends_the_tokens_that_carry_the_old_one(three: Fleet) -> None:
    user = await new_user(three, "rising@example.com")
    await create_admin(three.settings, email=user.email, name="Unused Name", password="other secret 9")
    since = time.monotonic()
    await dead_in_time(three, user, since)
    risen = await logged_in(three, user.email)
    assert claims(risen)["role"] == "ADMIN"
    for http in three.processes:
        assert (await http.get("/users", headers=risen.headers)).status_code == 200


@pytest.mark.parametrize("row_first", [True, False], ids=["row first", "number first"])
async def test_a_revocation_that_commits_late_is_not_missed(
    three: Fleet, hands: psycopg.Connection, *, row_first: bool
) -> None:
    """Its transaction began before one that every process has read already: by time, row id or number it is old."""
    late = await new_user(three, f"late{row_first}@example.com")
    early = await new_user(three, f"early{row_first}@example.com")
    hands.execute("SELECT pg_current_xact_id()")
    if row_first:
        revoke(hands, late)
    await three.processes[0].post("/auth/logout", headers=early.headers)
    await dead_in_time(three, early, time.monotonic())
    assert await statuses(three, late) == [200, 200, 200]
    if not row_first:
        revoke(hands, late)
    hands.commit()
    await dead_in_time(three, late, time.monotonic())


async def test_a_rolled_back_revocation_kills_nothing(three: Fleet, hands: psycopg.Connection) -> None:
    user, marker = await new_user(three, "kept@example.com"), await new_user(three, "marker@example.com")
    revoke(hands, user)
    hands.rollback()
    revoke(hands, marker)
    hands.commit()
    await dead_in_time(three, marker, time.monotonic())
    assert await statuses(three, user) == [200, 200, 200]


async def test_a_process_that_starts_later_knows(three: Fleet) -> None:
    user, alive = await new_user(three, "before@example.com"), await new_user(three, "alive@example.com")
    await three.processes[0].post("/auth/logout", headers=user.headers)
    async with running(three.settings) as newcomer:
        assert (await newcomer.get("/auth/me", user)).status_code == 401
        assert (await newcomer.get("/auth/me", alive)).status_code == 200


async def test_a_process_without_its_database_trusts_no_more_than_it_knew(three: Fleet, postgres: Postgres) -> None:
    """Nothing that a token opens works without the database, so a token that died meanwhile opens nothing."""
    dead, dying = await new_user(three, "dead@example.com"), await new_user(three, "dying@example.com")
    async with proxied(postgres) as proxy:
        cut_off = changed(three.settings, http={"deadline_s": 1}).model_copy(
            update={"database": proxy.settings(three.settings.database)}
        )
        async with running(cut_off) as lonely:
            assert (await lonely.post("/auth/logout", dead)).status_code == 200
            assert (await lonely.get("/auth/me", dying)).status_code == 200
            with proxy.held():
                assert (await three.processes[0].post("/auth/logout", headers=dying.headers)).status_code == 200
                unknown: Response = await lonely.get("/auth/me", dying)
                busy(unknown, unknown.json()["code"])
                assert (await lonely.get("/auth/me", dead)).status_code == 401
                assert (await lonely.get("//.well-known/jwks.json")).status_code == 200
                assert lonely.parts.revocations.age_s < float("inf")
            since = time.monotonic()

            async def heard() -> bool:
                return (await lonely.get("/auth/me", dying)).status_code == 401

            await until(heard, "it has read what it missed")
            assert time.monotonic() - since <= _BOUND_S + _MARGIN_S
