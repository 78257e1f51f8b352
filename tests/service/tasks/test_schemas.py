"""Both sides of every bound of a task and of a list's query, after trimming."""

from typing import Any

import pytest

from tests.support.client import Client

BODIES_TAKEN = {
    "title of 3": {"title": "abc"},
    "title of 100": {"title": "x" * 100},
    "title of 100 in spaces": {"title": f"\t {'x' * 100} \n"},
    "description of 500": {"title": "abc", "description": "x" * 500},
    "description of 500 in spaces": {"title": "abc", "description": f" {'x' * 500} "},
    "description null": {"title": "abc", "description": None},
    "status completed": {"title": "abc", "status": "COMPLETED"},
}
BODIES_REFUSED = {
    "title of 2": ({"title": "ab"}, "title", "Title must be at least 3 characters"),
    "title of 2 in spaces": ({"title": "  ab  "}, "title", "Title must be at least 3 characters"),
    "title of 101": ({"title": "x" * 101}, "title", "Title must be at most 100 characters"),
    "title null": ({"title": None}, "title", "Title must be a string"),
    "title that is a number": ({"title": 1234}, "title", "Title must be a string"),
    "description of 501": ({"description": "x" * 501}, "description", "Description must be at most 500 characters"),
    "status unknown": ({"status": "DONE"}, "status", "Status must be one of PENDING, IN_PROGRESS, COMPLETED"),
    "status in lower case": ({"status": "pending"}, "status", "Status must be one of PENDING, IN_PROGRESS, COMPLETED"),
    "another owner": ({"userId": 1}, "userId", "UserId is not a known field"),
    "an id": ({"id": 1}, "id", "Id is not a known field"),
    "a time": ({"createdAt": "2025-01-01T00:00:00.000Z"}, "createdAt", "CreatedAt is not a known field"),
}
QUERIES_TAKEN = ["limit=1", "limit=100", "page=1", "page=9007199254740991", "status=PENDING", "sort=-title", "q="]
QUERIES_REFUSED = {
    "limit=0": ("limit", "Limit must be at least 1"),
    "limit=101": ("limit", "Limit must be at most 100"),
    "limit=-1": ("limit", "Limit must be at least 1"),
    "limit=ten": ("limit", "Limit must be a whole number"),
    "limit=1.5": ("limit", "Limit must be a whole number"),
    "limit=": ("limit", "Limit must be a whole number"),
    "page=0": ("page", "Page must be at least 1"),
    "page=9007199254740992": ("page", "Page must be at most 9007199254740991"),
    "page=x": ("page", "Page must be a whole number"),
    "page=1&page=2": ("page", "page is given more than once"),
    "status=DONE": ("status", "Status must be one of PENDING, IN_PROGRESS, COMPLETED"),
    "status=": ("status", "Status must be one of PENDING, IN_PROGRESS, COMPLETED"),
    "sort=id": ("sort", "Sort must be one of createdAt, -createdAt, updatedAt, -updatedAt, title, -title"),
    f"q={'x' * 101}": ("q", "Q must be at most 100 characters"),
    "colour=red": ("colour", "Colour is not a known field"),
    "userId=1": ("userId", "UserId is not a known field"),
    "page=1&cursor=": ("query", "Page and cursor cannot be given together"),
}


@pytest.mark.parametrize("body", BODIES_TAKEN.values(), ids=BODIES_TAKEN)
async def test_create_and_update_take(shared: Client, body: dict[str, Any]) -> None:
    user = await shared.user()
    expected = {name: value.strip() if isinstance(value, str) else value for name, value in body.items()}
    task = await shared.task(user, **body)
    assert {name: task[name] for name in body} == expected
    other = await shared.task(user)
    updated = await shared.put(f"/tasks/{other['id']}", user, json=body)
    assert {name: updated.json()["data"]["task"][name] for name in body} == expected


@pytest.mark.parametrize(("members", "field", "message"), BODIES_REFUSED.values(), ids=BODIES_REFUSED)
async def test_create_and_update_refuse(shared: Client, members: dict[str, Any], field: str, message: str) -> None:
    user = await shared.user()
    created = await shared.post("/tasks", user, json={"title": "A good title", **members})
    task = await shared.task(user)
    updated = await shared.put(f"/tasks/{task['id']}", user, json=members)
    for response in (created, updated):
        assert response.status_code == 400
        assert response.json()["errors"] == [{"field": field, "path": field, "msg": message}]
        assert (response.json()["success"], response.json()["message"]) == (False, message)
    assert (await shared.get("/tasks", user)).json()["data"]["tasks"] == [
        {name: value for name, value in task.items() if name != "user"}
    ]


async def test_create_needs_a_title(shared: Client) -> None:
    response = await shared.post("/tasks", await shared.user(), json={})
    assert (response.status_code, response.json()["message"]) == (400, "Title is required")


@pytest.mark.parametrize("query", QUERIES_TAKEN)
async def test_the_list_takes(shared: Client, query: str) -> None:
    assert (await shared.get(f"/tasks?{query}", await shared.user())).status_code == 200


@pytest.mark.parametrize(("query", "expected"), QUERIES_REFUSED.items(), ids=[query[:30] for query in QUERIES_REFUSED])
async def test_the_list_refuses(shared: Client, query: str, expected: tuple[str, str]) -> None:
    response = await shared.get(f"/tasks?{query}", await shared.user())
    assert response.status_code == 400
    field, message = expected
    assert response.json()["errors"] == [{"field": field, "path": field, "msg": message}]
    assert response.json()["message"] == message


@pytest.mark.parametrize("task_id", ["abc", "0", "-1", "1.5", "9007199254740992", "%20"])
async def test_an_id_that_is_none_is_400(shared: Client, task_id: str) -> None:
    user = await shared.user()
    for method in ("GET", "PUT", "DELETE"):
        response = await shared.call(method, f"/tasks/{task_id}", user, json={} if method == "PUT" else None)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "id")


async def test_the_largest_id_is_merely_unknown(shared: Client) -> None:
    assert (await shared.get("/tasks/9007199254740991", await shared.user())).status_code == 404


@pytest.mark.parametrize("path", ["/tasks/stats", "/tasks/1", "/auth/me", "/users/me/preferences"])
async def test_an_address_without_a_query_refuses_one(shared: Client, path: str) -> None:
    response = await shared.get(f"{path}?verbose=1", await shared.user())
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "verbose")
