"""The administrators' pages: all users, one user, the dashboard. On a database of their own: they show everybody."""

import re
from typing import Any

import psycopg
import pytest

from tests.support.client import Client, User

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")

pytestmark = pytest.mark.usefixtures("documented")


async def listed(client: Client, admin: User, query: str = "") -> dict[str, Any]:
    response = await client.get(f"/users?{query}" if query else "/users", admin)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_the_list_shows_everybody_newest_first_with_the_number_of_their_tasks(client: Client) -> None:
    admin = await client.admin()
    users = [await client.user(name=f"User {number}") for number in range(3)]
    for _ in range(2):
        await client.task(users[1])
    response = await client.get("/users", admin)
    assert list(response.json()) == ["success", "data"]
    data = response.json()["data"]
    assert list(data) == ["users", "pagination"]
    assert list(data["pagination"]) == ["currentPage", "totalPages", "totalUsers", "limit"]
    assert data["pagination"] == {"currentPage": 1, "totalPages": 1, "totalUsers": 4, "limit": 10}
    assert [user["id"] for user in data["users"]] == [users[2].id, users[1].id, users[0].id, admin.id]
    shown = data["users"][1]
    assert list(shown) == ["id", "email", "name", "role", "createdAt", "_count"]
    assert shown["_count"] == {"tasks": 2}
    assert (shown["email"], shown["name"], shown["role"]) == (users[1].email, "User 1", "USER")
    assert TIME.fullmatch(shown["createdAt"])
    assert data["users"][3]["role"] == "ADMIN"


async def test_users_come_in_pages_with_ties_by_id(client: Client, sql: psycopg.Connection) -> None:
    admin = await client.admin()
    users = [await client.user() for _ in range(4)]
    sql.execute("UPDATE users SET created_at = '2025-01-01'")
    newest_first = [user.id for user in users[::-1]] + [admin.id]
    seen = []
    for page in (1, 2, 3, 4):
        data = await listed(client, admin, f"page={page}&limit=2")
        assert data["pagination"] == {"currentPage": page, "totalPages": 3, "totalUsers": 5, "limit": 2}
        seen += [user["id"] for user in data["users"]]
    assert seen == newest_first


async def test_one_user_comes_with_their_tasks_newest_first(client: Client) -> None:
    admin, user, other = await client.admin(), await client.user(name="Ada Lovelace"), await client.user()
    first = await client.task(user, "First", description="of two")
    second = await client.task(user, "Second", status="COMPLETED")
    await client.task(other, "Not theirs")
    response = await client.get(f"/users/{user.id}", admin)
    assert response.status_code == 200
    shown = response.json()["data"]["user"]
    assert list(response.json()["data"]) == ["user"]
    assert list(shown) == ["id", "email", "name", "role", "createdAt", "tasks"]
    assert (shown["id"], shown["email"], shown["name"], shown["role"]) == (user.id, user.email, "Ada Lovelace", "USER")
    members = ["id", "title", "description", "status", "createdAt"]
    assert shown["tasks"] == [{name: task[name] for name in members} for task in (second, first)]
    assert list(shown["tasks"][0]) == members


async def test_a_user_without_tasks_has_an_empty_list(client: Client) -> None:
    admin = await client.admin()
    assert (await client.get(f"/users/{admin.id}", admin)).json()["data"]["user"]["tasks"] == []


async def test_the_dashboard_counts_users_and_tasks(client: Client, sql: psycopg.Connection) -> None:
    admin, old, idle = await client.admin(), await client.user(), await client.user()
    for status in ("PENDING", "COMPLETED", "COMPLETED"):
        await client.task(old, status=status)
    sql.execute("UPDATE users SET created_at = now() - interval '8 days' WHERE id = ANY(%s)", ([old.id, idle.id],))
    response = await client.get("/users/stats", admin)
    assert response.status_code == 200
    expected = {
        "totalUsers": 3,
        "totalTasks": 3,
        "tasksByStatus": {"PENDING": 1, "IN_PROGRESS": 0, "COMPLETED": 2},
        "registeredLast7Days": 1,
        "activeToday": 2,
    }
    assert response.json() == {"success": True, "data": expected}
    assert list(response.json()["data"]) == list(expected)


async def test_an_administrator_does_not_delete_themselves(client: Client) -> None:
    admin = await client.admin()
    response = await client.delete(f"/users/{admin.id}", admin)
    assert (response.status_code, response.json()["code"]) == (400, "cannot_delete_yourself")
    assert response.json()["message"] == "You cannot delete your own account"
    assert (await client.get("/auth/me", admin)).status_code == 200


async def test_one_administrator_deletes_another(client: Client) -> None:
    admin, other = await client.admin(), await client.admin()
    assert (await client.delete(f"/users/{other.id}", admin)).status_code == 200
    assert (await client.get("/users", other)).status_code == 401


async def test_a_query_that_cannot_be_understood_is_400(client: Client) -> None:
    admin = await client.admin()
    for query in ("limit=0", "limit=101", "page=0", "page=x", "role=ADMIN", "sort=name", "cursor="):
        response = await client.get(f"/users?{query}", admin)
        assert response.status_code == 400, query
        assert response.json()["errors"][0]["field"] == query.partition("=")[0]
    for query in ("limit=1", "limit=100", "page=9007199254740991"):
        assert (await client.get(f"/users?{query}", admin)).status_code == 200, query


async def test_an_unknown_user_is_404_and_an_id_that_is_none_400(client: Client) -> None:
    admin = await client.admin()
    for method in ("GET", "DELETE"):
        unknown = await client.call(method, "/users/9007199254740991", admin)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "user_not_found")
        assert unknown.json()["message"] == "User not found"
        for bad in ("abc", "0", "-1", "9007199254740992", "me"):
            assert (await client.call(method, f"/users/{bad}", admin)).status_code == 400
