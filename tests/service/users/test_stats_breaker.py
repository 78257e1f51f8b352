"""Counts that the database gives up on are not tried again at once."""

import math
from collections.abc import Iterator

import psycopg
import pytest

from service.users import service
from tests.support.client import Client


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(service._breaker, "slow_s", 0.0)
    yield
    service._breaker.open_until = -math.inf


async def test_after_a_count_that_took_too_long_the_table_is_left_alone(
    client: Client, sql: psycopg.Connection
) -> None:
    admin = await client.admin()
    assert (await client.get("/users/stats", admin)).status_code == 200
    with sql.transaction():
        sql.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        refused = await client.get("/users/stats", admin)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await client.get("/users/stats", admin)).status_code == 503, "though nobody holds it any more"
    service._breaker.open_until = 0.0
    assert (await client.get("/users/stats", admin)).status_code == 200
