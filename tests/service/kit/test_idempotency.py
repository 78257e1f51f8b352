"""Idempotency-Key: the first answer again, never a second write. Many at once are in test_idempotency_race.py."""

from typing import Any

import pytest

from tests.support.client import PASSWORD, Client, User
from tests.support.direct import execute
from tests.support.tokens import claims_of

TASK = {"title": "Write it", "description": '\u00dcn\u00ef \N{GRINNING FACE} \\ "quoted" \u2028', "status": "COMPLETED"}


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


def registration(email: str) -> dict[str, Any]:
    return {"name": "Ada Lovelace", "email": email, "password": PASSWORD}


async def total(client: Client, user: User) -> int:
    count: int = (await client.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"]
    return count


async def test_the_same_key_and_body_replay_the_first_answer_to_the_byte(shared: Client) -> None:
    user = await shared.user()
    first = await shared.post("/tasks", user, json=TASK, headers=key("k1"))
    assert "idempotency-replayed" not in first.headers
    await shared.put(f"/tasks/{first.json()['data']['task']['id']}", user, json={"title": "Changed since"})
    again = await shared.post("/tasks", user, json=TASK, headers=key("k1"))
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await total(shared, user) == 1


async def test_a_replay_outlives_the_task(shared: Client) -> None:
    user = await shared.user()
    first = await shared.post("/tasks", user, json=TASK, headers=key("k1"))
    await shared.delete(f"/tasks/{first.json()['data']['task']['id']}", user)
    again = await shared.post("/tasks", user, json=TASK, headers=key("k1"))
    assert (again.status_code, again.content) == (201, first.content)
    assert await total(shared, user) == 0


async def test_the_same_key_with_another_body_is_422(shared: Client) -> None:
    user = await shared.user()
    await shared.post("/tasks", user, json=TASK, headers=key("k1"))
    refused = await shared.post("/tasks", user, json={**TASK, "title": "Another title"}, headers=key("k1"))
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await total(shared, user) == 1


async def test_another_key_or_none_is_another_task(shared: Client) -> None:
    user = await shared.user()
    for headers in (key("k1"), key("k2"), {}, {}):
        assert (await shared.post("/tasks", user, json=TASK, headers=headers)).status_code == 201
    assert await total(shared, user) == 4


async def test_a_key_belongs_to_its_user_and_its_route(shared: Client) -> None:
    one, two = await shared.user(), await shared.user()
    first = await shared.post("/tasks", one, json=TASK, headers=key("same"))
    second = await shared.post("/tasks", two, json=TASK, headers=key("same"))
    assert second.status_code == 201
    assert first.json()["data"]["task"]["id"] != second.json()["data"]["task"]["id"]
    registered = await shared.post("/auth/register", json=registration("route@example.com"), headers=key("same"))
    assert registered.status_code == 201


async def test_a_failed_request_leaves_its_key_free(shared: Client) -> None:
    user = await shared.user()
    assert (await shared.post("/tasks", user, json={"title": "x"}, headers=key("k1"))).status_code == 400
    assert (await shared.post("/tasks", user, json=TASK, headers=key("k1"))).status_code == 201
    taken = await shared.post("/auth/register", json=registration(user.email), headers=key("k3"))
    assert taken.status_code == 400
    free = await shared.post("/auth/register", json=registration("free@example.com"), headers=key("k3"))
    assert free.status_code == 201


@pytest.mark.parametrize(("age", "replayed"), [("23 hours 59 minutes", True), ("24 hours 1 second", False)])
async def test_an_answer_is_kept_for_24_hours(shared: Client, age: str, replayed: bool) -> None:  # noqa: FBT001
    user = await shared.user()
    first = await shared.post("/tasks", user, json=TASK, headers=key("old"))
    aging = "UPDATE idempotency_keys SET created_at = now() - %s::interval WHERE scope LIKE %s"
    execute(shared, aging, age, f"{user.id} %")
    again = await shared.post("/tasks", user, json=TASK, headers=key("old"))
    assert ("idempotency-replayed" in again.headers) is replayed
    assert (again.content == first.content) is replayed
    if not replayed:
        other = await shared.post("/tasks", user, json=TASK, headers=key("old"))
        assert other.content == again.content, "the new answer is the one that is kept"


async def test_a_registration_is_replayed_with_the_same_session(shared: Client) -> None:
    body = registration("twice@example.com")
    first = await shared.post("/auth/register", json=body, headers=key("k1"))
    again = await shared.post("/auth/register", json=body, headers=key("k1"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"]["user"] == first.json()["data"]["user"]
    assert claims_of(again.json()["data"]["token"]) == claims_of(first.json()["data"]["token"])
    me = await shared.get("/auth/me", headers={"Authorization": f"Bearer {again.json()['data']['token']}"})
    assert me.status_code == 200
    other = await shared.post("/auth/register", json={**body, "password": "other than 1"}, headers=key("k1"))
    assert other.status_code == 422, "whoever does not know the password gets no session"
    without = await shared.post("/auth/register", json=body)
    assert (without.status_code, without.json()["code"]) == (400, "email_taken")


async def test_a_replayed_registration_does_not_bring_a_session_back(shared: Client) -> None:
    body = registration("loggedout@example.com")
    first = await shared.post("/auth/register", json=body, headers=key("k9"))
    token = {"Authorization": f"Bearer {first.json()['data']['token']}"}
    await shared.post("/auth/logout", headers=token)
    again = await shared.post("/auth/register", json=body, headers=key("k9"))
    dead = {"Authorization": f"Bearer {again.json()['data']['token']}"}
    assert (await shared.get("/auth/me", headers=dead)).status_code == 401


async def test_no_secret_is_kept_with_an_answer(shared: Client) -> None:
    body = registration("secret@example.com")
    token = (await shared.post("/auth/register", json=body, headers=key("s"))).json()["data"]["token"]
    [[kept]] = execute(shared, "SELECT string_agg(k::text, ' ') FROM idempotency_keys AS k")
    assert "secret@example.com" in kept
    assert PASSWORD not in kept
    assert token.rpartition(".")[2] not in kept


@pytest.mark.parametrize(
    ("value", "status"), [("x" * 255, 201), ("x" * 256, 400), ("a b", 400), ("\u00e4", 400), ("", 400)]
)
async def test_a_key_is_up_to_255_visible_ascii_characters(shared: Client, value: str, status: int) -> None:
    user = await shared.user()
    response = await shared.post("/tasks", user, json=TASK, headers={b"Idempotency-Key": value.encode()})
    assert response.status_code == status
    if status == 400:
        assert response.json()["errors"][0]["field"] == "Idempotency-Key"
