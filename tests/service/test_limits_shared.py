"""One quota for three processes; and what holds while nobody can count for them all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.settings import Database
from tests.support.cached import Fleet, cached_fleet
from tests.support.client import PASSWORD, User
from tests.support.valkey import ValkeyServer, started
from tests.support.wait import until

QUOTA = 600


@pytest.fixture
async def limited(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Fleet, ValkeyServer]]:
    with started() as valkey:
        env = {
            "TASKS_VALKEY_URL": valkey.url,
            "TASKS_VALKEY_BUDGET_S": "1",  # a busy machine must not look like a Valkey that is away
            "TASKS_LIMITS_ON": "true",
            "TASKS_LIMITS_READ": f"{QUOTA}/900",
        }
        async with cached_fleet(database, tmp_path, [env] * 3) as fleet:
            yield fleet, valkey


async def statuses(fleet: Fleet, user: User, count: int) -> Counter[int]:
    """Of requests to all processes at once, twelve at a time."""
    todo = iter(range(count))

    async def ask() -> list[int]:
        return [
            (await fleet.processes[number % 3].get("/auth/me", headers=user.headers)).status_code for number in todo
        ]

    return Counter(status for found in await asyncio.gather(*[ask() for _ in range(12)]) for status in found)


async def test_three_processes_share_one_quota(limited: tuple[Fleet, ValkeyServer]) -> None:
    fleet, _ = limited
    ada, bob = await fleet.user(), await fleet.user()
    found = await statuses(fleet, ada, 2 * QUOTA)

    assert set(found) == {200, 429}
    # Above it by a tenth at the most; below it by what the processes had leased and not spent, a batch each.
    assert QUOTA - 3 * (QUOTA // 50) <= found[200] <= QUOTA * 1.1
    assert (await statuses(fleet, bob, 30))[200] == 30


async def test_a_person_costs_valkey_nothing_and_is_counted_when_it_is_no_person(
    limited: tuple[Fleet, ValkeyServer],
) -> None:
    fleet, valkey = limited
    user, allowance = await fleet.user(), QUOTA // 60
    assert (await statuses(fleet, user, 3 * allowance))[200] == 3 * allowance
    assert valkey.names(f"tasks:r:read:u{user.id}") == []
    await statuses(fleet, user, 3)
    counts = valkey.ask("HVALS", f"tasks:r:read:u{user.id}")
    assert isinstance(counts, list)
    # What each had let through, and a batch for each.
    assert sum(int(str(count)) for count in counts) == 3 * (allowance + QUOTA // 50)


async def test_without_valkey_users_are_counted_by_each_process_and_nobody_logs_in(
    limited: tuple[Fleet, ValkeyServer],
) -> None:
    fleet, valkey = limited
    user = await fleet.user()
    login = {"email": user.email, "password": PASSWORD}
    valkey.stop()

    async def refused() -> bool:
        return (await fleet.processes[1].post("/auth/login", json=login)).status_code == 503

    await until(refused, "logins are refused")
    answer = await fleet.processes[1].post("/auth/login", json=login)
    assert answer.json()["code"] == "limits_unavailable"
    assert answer.headers["retry-after"] == "1"
    found = await statuses(fleet, user, 4 * QUOTA)
    assert QUOTA < found[200] <= 3 * QUOTA * 1.1
    assert found[429] >= QUOTA // 2

    valkey.start()

    async def lets_in() -> bool:
        return (await fleet.processes[1].post("/auth/login", json=login)).status_code == 200

    await until(lets_in, "logins work again")
