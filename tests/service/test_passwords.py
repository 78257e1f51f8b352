"""How passwords are kept and compared: argon2id as OWASP has it, and the same work whoever asks."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
from argon2 import extract_parameters

from service.settings import Database, Passwords, Settings
from tests.support.client import PASSWORD, Client, running
from tests.support.problems import problem_of
from tests.support.wait import until


async def test_the_default_is_argon2id_with_the_owasp_minimum(
    settings: Settings, make_database: Callable[..., Database], template: str
) -> None:
    real = settings.model_copy(update={"passwords": Passwords(), "database": make_database(template)})
    async with running(real) as client:
        user = await client.user()
        assert (await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})).status_code == 200
    with psycopg.connect(real.database.url.get_secret_value()) as connection:
        row = connection.execute("SELECT password_hash FROM users").fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    parameters = extract_parameters(row[0])
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)


async def test_the_same_password_is_stored_differently_for_each(client: Client, sql: psycopg.Connection) -> None:
    for _ in range(3):
        await client.user()
    rows = sql.execute("SELECT password_hash, users::text FROM users").fetchall()
    assert len({row[0] for row in rows}) == 3
    assert not any(PASSWORD in row[1] for row in rows)


class Watched:
    """Stands before the hasher and notes the work it is given."""

    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher
        self.verified: list[tuple[int, int, int, int, int]] = []

    def verify(self, stored: str, password: str) -> bool:
        parameters = extract_parameters(stored)
        self.verified.append(
            (
                parameters.memory_cost,
                parameters.time_cost,
                parameters.parallelism,
                parameters.hash_len,
                parameters.salt_len,
            )
        )
        matches: bool = self._hasher.verify(stored, password)
        return matches


async def test_a_login_costs_the_same_whether_the_address_is_known_or_not(client: Client) -> None:
    user = await client.user()
    watched = Watched(client.parts.passwords._hasher)
    client.parts.passwords._hasher = watched  # type: ignore[assignment]
    answers = []
    for email in (user.email, "nobody@example.com"):
        response = await client.post("/auth/login", json={"email": email, "password": "wrong 7"})
        answers.append(problem_of(response, 401, "wrong_credentials"))
    assert answers[0] == answers[1]
    known, unknown = watched.verified
    assert known == unknown


async def test_no_password_opens_an_unknown_address(client: Client) -> None:
    """What an unknown address is compared with is in the source; knowing it must not help."""
    for password in ("no password has this hash", "", " ", "None", PASSWORD):
        response = await client.post("/auth/login", json={"email": "nobody@example.com", "password": password})
        assert response.status_code in (400, 401)


async def test_a_damaged_hash_lets_nobody_in(client: Client, sql: psycopg.Connection) -> None:
    user = await client.user()
    for stored in ("", "x", PASSWORD, "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$$", "$2b$12$" + "x" * 53, "!"):
        sql.execute("UPDATE users SET password_hash = %s", (stored,))
        response = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        problem_of(response, 401, "wrong_credentials")


async def test_a_burst_of_logins_delays_nobody_else_and_is_bounded(settings: Settings) -> None:
    """More than can wait are told to come back; meanwhile other requests are answered."""
    passwords = Passwords(queue=2, memory_kib=65_536, passes=3)
    async with running(settings.model_copy(update={"passwords": passwords})) as client:
        user = await client.user()
        body = {"email": user.email, "password": PASSWORD}
        logins = [asyncio.create_task(client.post("/auth/login", json=body)) for _ in range(12)]

        async def all_wait() -> bool:
            return client.parts.passwords._waiting == 3

        await until(all_wait, "as many wait as may")
        assert (await client.get("/auth/me", user)).status_code == 200
        assert not any(login.done() and login.result().status_code == 200 for login in logins)
        answers = await asyncio.gather(*logins)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) >= 8
    for answer in refused:
        problem_of(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
