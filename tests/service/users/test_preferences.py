"""Preferences: defaults until something is saved, partial changes, bounds, and two tabs at once."""

import asyncio
from typing import Any

import pytest

from tests.support.client import Client, User

DEFAULTS = {"theme": "system", "notifications": {"email": True}, "pageSize": 10}
PATH = "/users/me/preferences"


async def saved(client: Client, user: User) -> dict[str, Any]:
    response = await client.get(PATH, user)
    assert response.status_code == 200
    preferences: dict[str, Any] = response.json()["data"]["preferences"]
    return preferences


async def test_defaults_hold_until_something_is_saved(shared: Client) -> None:
    response = await shared.get(PATH, await shared.user())
    assert response.json() == {"success": True, "data": {"preferences": DEFAULTS}}
    assert list(response.json()["data"]["preferences"]) == ["theme", "notifications", "pageSize"]


async def test_what_is_saved_is_read_again_by_its_user_alone(shared: Client) -> None:
    user, other = await shared.user(), await shared.user()
    new = {"theme": "dark", "notifications": {"email": False}, "pageSize": 25}
    response = await shared.put(PATH, user, json=new)
    expected = {"success": True, "message": "Preferences updated successfully", "data": {"preferences": new}}
    assert (response.status_code, response.json()) == (200, expected)
    assert await saved(shared, user) == new
    assert await saved(shared, other) == DEFAULTS


async def test_what_is_left_out_keeps_its_value(shared: Client) -> None:
    user = await shared.user()
    await shared.put(PATH, user, json={"theme": "dark"})
    await shared.put(PATH, user, json={"pageSize": 50})
    await shared.put(PATH, user, json={"notifications": {"email": False}})
    await shared.put(PATH, user, json={})
    assert await saved(shared, user) == {"theme": "dark", "notifications": {"email": False}, "pageSize": 50}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"theme": "neon"}, "theme"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 101}, "pageSize"),
        ({"pageSize": "20"}, "pageSize"),
        ({"pageSize": 2**70}, "pageSize"),
        ({"notifications": {}}, "notifications.email"),
        ({"notifications": {"email": "yes"}}, "notifications.email"),
        ({"notifications": {"email": 1}}, "notifications.email"),
        ({"notifications": {"sms": True, "email": True}}, "notifications.sms"),
        ({"notifications": True}, "notifications"),
        ({"language": "en"}, "language"),
    ],
)
async def test_what_no_preference_is_is_refused(shared: Client, body: dict[str, Any], field: str) -> None:
    user = await shared.user()
    response = await shared.put(PATH, user, json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field
    assert await saved(shared, user) == DEFAULTS


@pytest.mark.parametrize("size", [1, 100])
async def test_both_ends_of_the_page_size_are_taken(shared: Client, size: int) -> None:
    user = await shared.user()
    assert (await shared.put(PATH, user, json={"pageSize": size})).status_code == 200
    assert (await saved(shared, user))["pageSize"] == size


async def test_a_condition_guards_against_another_tab(shared: Client) -> None:
    user = await shared.user()
    untouched = (await shared.get(PATH, user)).headers["etag"]
    first = await shared.put(PATH, user, json={"theme": "dark"}, headers={"If-Match": untouched})
    assert first.status_code == 200
    stale = await shared.put(PATH, user, json={"theme": "light"}, headers={"If-Match": untouched})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await shared.get(PATH, user)).headers["etag"] == first.headers["etag"]
    again = await shared.put(PATH, user, json={"theme": "light"}, headers={"If-Match": first.headers["etag"]})
    assert again.status_code == 200


async def test_of_tabs_that_save_at_once_on_one_read_one_wins(shared: Client) -> None:
    user = await shared.user()
    condition = {"If-Match": (await shared.get(PATH, user)).headers["etag"]}
    answers = await asyncio.gather(
        *(shared.put(PATH, user, json={"pageSize": size}, headers=condition) for size in range(20, 32))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11


async def test_tabs_that_save_different_members_at_once_lose_nothing(shared: Client) -> None:
    users = [await shared.user() for _ in range(4)]
    bodies: list[dict[str, Any]] = [{"theme": "dark"}, {"pageSize": 50}, {"notifications": {"email": False}}]
    await asyncio.gather(*(shared.put(PATH, user, json=body) for user in users for body in bodies))
    expected = {"theme": "dark", "notifications": {"email": False}, "pageSize": 50}
    assert [await saved(shared, user) for user in users] == [expected] * 4
