"""The list: order, pages, filters, search and sorting, and the numbers of a user's tasks."""

from typing import Any

import pytest

from tests.support.client import Client, User
from tests.support.direct import execute

MEMBERS = ["id", "title", "description", "status", "userId", "createdAt", "updatedAt"]


async def listed(client: Client, user: User, query: str = "") -> dict[str, Any]:
    response = await client.get(f"/tasks?{query}" if query else "/tasks", user)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def titles(client: Client, user: User, query: str = "") -> list[str]:
    return [task["title"] for task in (await listed(client, user, query))["tasks"]]


async def test_a_page_has_tasks_and_pagination(shared: Client) -> None:
    user = await shared.user()
    for number in range(12):
        await shared.task(user, f"Task {number}")
    response = await shared.get("/tasks", user)
    assert list(response.json()) == ["success", "data"]
    data = response.json()["data"]
    assert list(data) == ["tasks", "pagination"]
    assert list(data["tasks"][0]) == MEMBERS
    assert list(data["pagination"]) == ["currentPage", "totalPages", "totalTasks", "limit"]
    assert data["pagination"] == {"currentPage": 1, "totalPages": 2, "totalTasks": 12, "limit": 10}
    assert [task["title"] for task in data["tasks"]] == [f"Task {number}" for number in range(11, 1, -1)]


async def test_pages_follow_each_other_to_the_end_and_past_it(shared: Client) -> None:
    user = await shared.user()
    for number in range(5):
        await shared.task(user, f"Task {number}")
    seen = []
    for page in (1, 2, 3):
        data = await listed(shared, user, f"page={page}&limit=2")
        assert data["pagination"] == {"currentPage": page, "totalPages": 3, "totalTasks": 5, "limit": 2}
        seen += [task["title"] for task in data["tasks"]]
    assert seen == [f"Task {number}" for number in (4, 3, 2, 1, 0)]
    for page in (4, 9007199254740991):
        past = await listed(shared, user, f"page={page}&limit=2")
        assert past["tasks"] == []
        assert past["pagination"] == {"currentPage": page, "totalPages": 3, "totalTasks": 5, "limit": 2}


async def test_no_task_is_no_page(shared: Client) -> None:
    data = await listed(shared, await shared.user())
    assert data == {"tasks": [], "pagination": {"currentPage": 1, "totalPages": 0, "totalTasks": 0, "limit": 10}}


async def test_of_one_moment_the_larger_id_is_newer(shared: Client) -> None:
    user = await shared.user()
    ids = [(await shared.task(user))["id"] for _ in range(4)]
    execute(shared, "UPDATE tasks SET created_at = '2025-01-01' WHERE user_id = %s", user.id)
    assert [task["id"] for task in (await listed(shared, user))["tasks"]] == ids[::-1]
    pages = [(await listed(shared, user, f"limit=1&page={page}"))["tasks"][0]["id"] for page in (1, 2, 3, 4)]
    assert pages == ids[::-1]
    assert (await listed(shared, user))["tasks"][0]["createdAt"] == "2025-01-01T00:00:00.000Z"


async def test_a_status_filters_the_list_and_its_totals(shared: Client) -> None:
    user = await shared.user()
    for status, count in (("PENDING", 1), ("IN_PROGRESS", 2), ("COMPLETED", 3)):
        for number in range(count):
            await shared.task(user, f"{status} {number}", status=status)
        data = await listed(shared, user, f"status={status}&limit=2")
        assert {task["status"] for task in data["tasks"]} == {status}
        assert data["pagination"]["totalTasks"] == count
        assert data["pagination"]["totalPages"] == -(-count // 2)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("REPORT", ["Report for Bob", "Call Bob"]),
        ("bob", ["Report for Bob", "Call Bob"]),
        ("%25", ["100 % sure"]),
        ("_", ["snake_case"]),
        ("%5C", ["back\\slash"]),
        ("k\\\\s", []),
        ("e_c", ["snake_case"]),
        ("%25sure%25", []),
        ("%20%20call%20%20", ["Call Bob"]),
        ("ÉCOLE", ["Aller à l'école"]),
        ("'; DROP TABLE tasks; --", []),
    ],
)
async def test_search_finds_the_text_itself_in_title_and_description(shared: Client, q: str, found: list[str]) -> None:
    user = await shared.user()
    for title, description in (
        ("Call Bob", "about the report"),
        ("Report for Bob", None),
        ("100 % sure", None),
        ("snake_case", None),
        ("snakeXcase", None),
        ("back\\slash", None),
        ("Aller à l'école", None),
    ):
        await shared.task(user, title, description=description)
    assert await titles(shared, user, f"q={q}") == found
    assert (await listed(shared, user, f"q={q}"))["pagination"]["totalTasks"] == len(found)


async def test_search_and_status_work_together(shared: Client) -> None:
    user = await shared.user()
    await shared.task(user, "Report one", status="COMPLETED")
    await shared.task(user, "Report two")
    assert await titles(shared, user, "q=report&status=PENDING") == ["Report two"]


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "updatedAt", "-updatedAt", "title", "-title"])
async def test_what_is_found_comes_in_the_order_and_the_pages_of_any_list(shared: Client, sort: str) -> None:
    user, other = await shared.user(), await shared.user()
    for title in ("Report c", "Report a", "Call", "Report b", "Report a"):
        await shared.task(user, title)
    await shared.task(other, "Report of another")
    whole = [t["id"] for t in (await listed(shared, user, f"sort={sort}"))["tasks"] if t["title"] != "Call"]
    pages = [await listed(shared, user, f"q=report&sort={sort}&limit=3&page={page}") for page in (1, 2, 3)]
    assert [task["id"] for page in pages for task in page["tasks"]] == whole
    assert [page["pagination"]["totalTasks"] for page in pages] == [4, 4, 4], "beyond the end too"


async def test_every_sort_orders_by_its_column_and_then_by_id(shared: Client) -> None:
    user = await shared.user()
    ids = {title: (await shared.task(user, title))["id"] for title in ("bbb", "aaa", "ccc", "aaa ")}
    assert len(ids) == 4
    order = [task["id"] for task in (await listed(shared, user, "sort=createdAt"))["tasks"]]
    first, second, third, fourth = order
    await shared.put(f"/tasks/{second}", user, json={"status": "COMPLETED"})
    expected = {
        "createdAt": [first, second, third, fourth],
        "-createdAt": [fourth, third, second, first],
        "updatedAt": [first, third, fourth, second],
        "-updatedAt": [second, fourth, third, first],
        "title": [second, fourth, first, third],
        "-title": [third, first, fourth, second],
    }
    for sort, ids_in_order in expected.items():
        assert [task["id"] for task in (await listed(shared, user, f"sort={sort}"))["tasks"]] == ids_in_order, sort


async def test_stats_count_by_status_and_the_last_seven_days(shared: Client) -> None:
    user = await shared.user()
    empty = await shared.get("/tasks/stats", user)
    zeros = {"PENDING": 0, "IN_PROGRESS": 0, "COMPLETED": 0}
    assert empty.json()["data"] == {"total": 0, "byStatus": zeros, "completedLast7Days": 0}
    for status in ("PENDING", "PENDING", "IN_PROGRESS", "COMPLETED", "COMPLETED"):
        await shared.task(user, status=status)
    old = await shared.task(user, status="COMPLETED")
    execute(shared, "UPDATE tasks SET updated_at = now() - interval '169 hours' WHERE id = %s", old["id"])
    response = await shared.get("/tasks/stats", user)
    assert response.status_code == 200
    assert list(response.json()["data"]) == ["total", "byStatus", "completedLast7Days"]
    by_status = {"PENDING": 2, "IN_PROGRESS": 1, "COMPLETED": 3}
    assert response.json()["data"] == {"total": 6, "byStatus": by_status, "completedLast7Days": 2}
