"""The service on every revision, and while it goes from one to the next."""

import asyncio

import psycopg
import pytest

from service.migrations.door import migrate
from service.settings import Database, Settings
from tests.support.client import Client, running
from tests.support.schema import OF_THE_LISTS, building, indexes
from tests.support.wait import until


async def use(client: Client) -> None:
    """The main routes, each once."""
    admin, user = await client.admin(), await client.user()
    task = (await client.task(user))["id"]
    listed = await client.get("/tasks?status=PENDING", user)
    assert [entry["id"] for entry in listed.json()["data"]["tasks"]] == [task]
    tag = listed.headers["etag"]
    assert (await client.get("/tasks?status=PENDING", user, headers={"If-None-Match": tag})).status_code == 304
    assert (await client.put(f"/tasks/{task}", user, json={"status": "COMPLETED"})).status_code == 200
    assert (await client.get("/tasks/stats", user)).json()["data"]["byStatus"]["COMPLETED"] == 1
    keyed = {"headers": {"Idempotency-Key": "k"}, "json": {"title": "Once"}}
    assert [(await client.post("/tasks", user, **keyed)).status_code for _ in range(2)] == [201, 201]
    assert (await client.put("/users/me/preferences", user, json={"theme": "dark"})).status_code == 200
    assert (await client.get("/users", admin)).status_code == 200
    assert (await client.get("/users/stats", admin)).status_code == 200
    assert (await client.delete(f"/tasks/{task}", user)).status_code == 200
    assert (await client.delete(f"/users/{user.id}", admin)).status_code == 200
    assert (await client.get("/auth/me", user)).status_code == 401


@pytest.mark.parametrize("target", ["0001", "head"])
async def test_the_service_runs_on_every_revision(old: Database, settings: Settings, target: str) -> None:
    migrate(old, target)
    async with running(settings.model_copy(update={"database": old})) as client:
        await use(client)


async def test_the_service_goes_on_while_indexes_are_built(
    old: Database, settings: Settings, bystander: psycopg.Connection
) -> None:
    async with running(settings.model_copy(update={"database": old})) as client:
        await client.user()
        migrating = asyncio.create_task(asyncio.to_thread(migrate, old, "head"))

        async def is_building() -> bool:
            return building(old) is not None

        await until(is_building, "an index is being built")
        await use(client)
        assert not migrating.done()
        bystander.rollback()
        assert len(await migrating) == 1
        await use(client)
    assert indexes(old) >= OF_THE_LISTS
