"""What the metrics say: bounded in series, judged at the targets, and counting only what was committed."""

import random
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from service.kit.telemetry import BUCKETS
from tests.support.client import PASSWORD, Client, User

DURATION = "http_server_request_duration_seconds"


def groups() -> set[tuple[tuple[str, str], ...]]:
    """The label sets of the request histogram: each costs a series a bucket."""
    [histogram] = [metric for metric in REGISTRY.collect() if metric.name == DURATION]
    return {tuple(sorted(s.labels.items())) for s in histogram.samples if s.name == f"{DURATION}_count"}


def counted(name: str) -> float:
    value = REGISTRY.get_sample_value(f"{name}_total")
    assert value is not None, f"{name} is not there"
    return value


async def test_random_paths_and_methods_add_at_most_two_groups(client: Client) -> None:
    generator = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-._~%"

    def word(most: int) -> str:
        return "".join(generator.choices(letters, k=generator.randrange(1, most))).replace("%", "%25")

    before = groups()
    for number in range(1000):
        path = "//" + "/".join("x" + word(12) for _ in range(generator.randrange(1, 5)))
        method = word(8).strip("-._~%25").upper() or "X" if number % 2 else "GET"
        response = await client.call(method, path)
        assert response.status_code == 404
    new = [dict(labels) for labels in groups() - before]
    assert len(new) <= 2, new
    assert {group["http_route"] for group in new} <= {"__unmatched__"}


async def test_ids_and_parameters_are_no_labels(client: Client) -> None:
    user = await client.user()
    await client.get("/tasks/1", user)
    await client.get("/tasks?q=a", user)
    before = groups()
    for number in range(2, 50):
        await client.get(f"/tasks/{number}", user)
        await client.get(f"/tasks?q={number}&limit={number}", user)
    assert groups() == before


def test_the_targets_of_all_phases_are_boundaries() -> None:
    assert {0.05, 0.08, 0.1, 0.2} <= set(BUCKETS)


async def test_a_request_is_counted_once_under_its_route(client: Client) -> None:
    user = await client.user()
    labels = {"http_route": "/api/v1/tasks/{id}", "http_request_method": "GET", "http_response_status_code": "404"}

    def seen() -> float:
        return REGISTRY.get_sample_value(f"{DURATION}_count", labels) or 0.0

    before = seen()
    await client.get("/tasks/424242", user)
    assert seen() == before + 1
    assert REGISTRY.get_sample_value("http_server_active_requests") == 0


async def test_product_counters_move_with_what_is_done(client: Client) -> None:
    names = ("tasks_users_registered", "tasks_created", "tasks_completed")

    async def moved(calls: Any) -> list[float]:
        before = [counted(name) for name in names]
        await calls
        return [counted(name) - was for name, was in zip(names, before, strict=True)]

    assert await moved(client.user()) == [1, 0, 0]
    user = await client.user()
    assert await moved(client.task(user)) == [0, 1, 0]
    assert await moved(client.task(user, status="COMPLETED")) == [0, 1, 1]
    path = f"/tasks/{(await client.task(user))['id']}"
    assert await moved(client.put(path, user, json={"status": "IN_PROGRESS"})) == [0, 0, 0]
    assert await moved(client.put(path, user, json={"status": "COMPLETED"})) == [0, 0, 1]
    assert await moved(client.put(path, user, json={"status": "COMPLETED"})) == [0, 0, 0]
    assert await moved(client.delete(path, user)) == [0, 0, 0]
    again = {"Idempotency-Key": "once"}
    assert await moved(client.post("/tasks", user, json={"title": "Once"}, headers=again)) == [0, 1, 0]
    assert await moved(client.post("/tasks", user, json={"title": "Once"}, headers=again)) == [0, 0, 0]


TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("table", ["users", "tasks"])
async def test_what_fails_at_commit_is_not_counted(client: Client, sql: psycopg.Connection, table: str) -> None:
    """The statement succeeds, the commit does not: a counter that moved with the statement would be wrong."""
    user: User = await client.user()
    path = f"/tasks/{(await client.task(user))['id']}"
    names = ("tasks_users_registered", "tasks_created", "tasks_completed")
    before = [counted(name) for name in names]
    sql.execute(TRIGGER.format(table=table))
    with capture_logs():
        if table == "users":
            person = {"name": "Ada", "email": "late@example.com", "password": PASSWORD}
            responses = [await client.post("/auth/register", json=person)]
        else:
            responses = [
                await client.post("/tasks", user, json={"title": "Never", "status": "COMPLETED"}),
                await client.put(path, user, json={"status": "COMPLETED"}),
            ]
    assert {response.status_code for response in responses} == {500}
    assert [counted(name) for name in names] == before
