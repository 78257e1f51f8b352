"""The walk by cursor: nothing skipped, nothing repeated, and no cursor opens another list than its own."""

from typing import Any

import pytest

from tests.support.client import Client, User
from tests.support.direct import execute

SORTS = ["createdAt", "-createdAt", "updatedAt", "-updatedAt", "title", "-title"]
REFUSED = "Cursor is not valid for this list; start again without it"


async def step(client: Client, user: User, cursor: str, query: str = "limit=2") -> tuple[list[int], str | None]:
    """One page and the cursor of the next."""
    response = await client.get(f"/tasks?{query}&cursor={cursor}", user)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return [task["id"] for task in data["tasks"]], data["pagination"]["nextCursor"]


async def next_cursor(client: Client, user: User, query: str = "limit=2") -> str:
    cursor = (await step(client, user, "", query))[1]
    assert cursor is not None
    return cursor


async def test_a_page_by_cursor_has_its_own_pagination(shared: Client) -> None:
    user = await shared.user()
    for _ in range(3):
        await shared.task(user)
    data = (await shared.get("/tasks?cursor=&limit=2", user)).json()["data"]
    assert list(data["pagination"]) == ["nextCursor", "limit"]
    assert data["pagination"]["limit"] == 2
    last = (await shared.get(f"/tasks?limit=2&cursor={data['pagination']['nextCursor']}", user)).json()["data"]
    assert last["pagination"] == {"nextCursor": None, "limit": 2}


async def test_a_walk_over_nothing_ends_at_once(shared: Client) -> None:
    assert await step(shared, await shared.user(), "") == ([], None)


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_meets_every_task_once_in_the_order_of_the_list(shared: Client, sort: str) -> None:
    user = await shared.user()
    for number in range(7):
        await shared.task(user, "\N{GRINNING FACE}" * 99 + f"{number % 3}")
    # Many share one moment: only the id tells them apart.
    execute(
        shared,
        "UPDATE tasks SET created_at = date_trunc('second', created_at), updated_at = created_at WHERE user_id = %s",
        user.id,
    )
    whole = [task["id"] for task in (await shared.get(f"/tasks?sort={sort}", user)).json()["data"]["tasks"]]
    walked: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = await step(shared, user, cursor, f"sort={sort}&limit=2")
        walked += page
    assert walked == whole
    assert len(walked) == 7


@pytest.mark.parametrize("sort", ["-createdAt", "createdAt"])
async def test_rows_that_come_and_go_neither_shift_nor_repeat_the_rest(shared: Client, sort: str) -> None:
    user = await shared.user()
    before = {(await shared.task(user))["id"] for _ in range(6)}
    walked: list[int] = []
    cursor: str | None = ""
    while cursor is not None and len(walked) < 30:
        page, cursor = await step(shared, user, cursor, f"sort={sort}&limit=2")
        walked += page
        if len(walked) <= 6:
            await shared.task(user, "Came in between")
            await shared.delete(f"/tasks/{page[-1]}", user)  # the very row that the cursor was made of
    assert len(walked) == len(set(walked)), "a task was met twice"
    assert before <= set(walked), "a task was skipped"


async def test_the_filter_holds_along_the_walk(shared: Client) -> None:
    user = await shared.user()
    wanted = [(await shared.task(user, "Report", status="COMPLETED"))["id"] for _ in range(3)]
    for _ in range(3):
        await shared.task(user, "Report")
        await shared.task(user, "Call Bob", status="COMPLETED")
    query = "limit=2&status=COMPLETED&q=report"
    first, cursor = await step(shared, user, "", query)
    second, end = await step(shared, user, cursor or "", query)
    assert (first + second, end) == (wanted[::-1], None)


async def test_the_limit_may_change_along_the_walk(shared: Client) -> None:
    user = await shared.user()
    ids = [(await shared.task(user))["id"] for _ in range(4)]
    rest, end = await step(shared, user, await next_cursor(shared, user, "limit=1"), "limit=100")
    assert (rest, end) == (ids[2::-1], None)


@pytest.mark.parametrize("change", ["status=PENDING", "q=report", "sort=title", "sort=createdAt"])
async def test_a_cursor_of_another_filter_or_order_is_refused(shared: Client, change: str) -> None:
    user = await shared.user()
    for _ in range(3):
        await shared.task(user, "Report")
    cursor = await next_cursor(shared, user)
    response = await shared.get(f"/tasks?{change}&cursor={cursor}", user)
    assert (response.status_code, response.json()["message"]) == (400, REFUSED)
    assert response.json()["errors"][0]["field"] == "cursor"


async def test_a_cursor_of_another_user_is_refused(shared: Client) -> None:
    owner, other = await shared.user(), await shared.user()
    for user in (owner, other):
        for _ in range(3):
            await shared.task(user)
    response = await shared.get(f"/tasks?limit=2&cursor={await next_cursor(shared, owner)}", other)
    assert (response.status_code, response.json()["message"]) == (400, REFUSED)


async def test_a_cursor_that_was_touched_is_refused(shared: Client) -> None:
    user = await shared.user()
    for _ in range(3):
        await shared.task(user)
    cursor = await next_cursor(shared, user)
    flipped = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor), 7)]
    for bad in (*flipped, cursor[:-4], cursor + "AAAA", cursor * 2, "AAAA", "%2B%2F", "ä", "A" * 1024, "A" * 1025):
        response = await shared.get(f"/tasks?limit=2&cursor={bad}", user)
        assert response.status_code == 400, bad
        assert response.json()["errors"][0]["field"] == "cursor"
    assert (await shared.get(f"/tasks?limit=2&cursor={cursor}", user)).status_code == 200


async def test_page_and_cursor_together_are_refused(shared: Client) -> None:
    user = await shared.user()
    for _ in range(3):
        await shared.task(user)
    response = await shared.get(f"/tasks?page=1&cursor={await next_cursor(shared, user)}", user)
    assert (response.status_code, response.json()["message"]) == (400, "Page and cursor cannot be given together")
