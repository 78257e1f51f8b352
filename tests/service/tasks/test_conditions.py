"""Entity tags: a read that is still good costs no body, and a write on a stale read is refused."""

import pytest

from tests.support.client import Client

READS = ["/tasks", "/tasks?cursor=", "/tasks/stats", "/tasks/{task}", "/auth/me", "/users/me/preferences"]
READS_OF_ADMINS = ["/users", "/users/stats", "/users/{user}"]


@pytest.mark.parametrize("path", [*READS, *READS_OF_ADMINS])
async def test_a_read_that_has_not_changed_is_304(shared: Client, path: str) -> None:
    user = await (shared.admin() if path in READS_OF_ADMINS else shared.user())
    task = await shared.task(user)
    address = path.format(task=task["id"], user=user.id)
    first = await shared.get(address, user)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in first.headers["vary"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', f'W/"other",W/{tag}', "*"):
        again = await shared.get(address, user, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == tag
        assert "content-type" not in again.headers
    for unknown in ('"other"', tag.strip('"'), "", f'"{tag}"'):
        again = await shared.get(address, user, headers={"If-None-Match": unknown})
        assert (again.status_code, again.content) == (200, first.content), unknown


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{task}", "/tasks/stats", "/tasks?q=report"])
async def test_a_write_changes_the_tag_of_what_shows_it(shared: Client, path: str) -> None:
    user = await shared.user()
    task = await shared.task(user, "Write the report")
    address = path.format(task=task["id"])
    tags = [(await shared.get(address, user)).headers["etag"]]
    for status in ("IN_PROGRESS", "COMPLETED"):
        await shared.put(f"/tasks/{task['id']}", user, json={"status": status})
        again = await shared.get(address, user, headers={"If-None-Match": tags[-1]})
        assert again.status_code == 200
        tags.append(again.headers["etag"])
    assert len(set(tags)) == 3


async def test_every_answer_that_shows_a_task_gives_the_tag_of_its_state(shared: Client) -> None:
    user = await shared.user()
    created = await shared.post("/tasks", user, json={"title": "Write the report"})
    address = created.headers["location"].removeprefix("/api/v1")
    assert address == f"/tasks/{created.json()['data']['task']['id']}"
    assert (await shared.get(address, user)).headers["etag"] == created.headers["etag"]
    updated = await shared.put(address, user, json={"status": "COMPLETED"})
    assert (await shared.get(address, user)).headers["etag"] == updated.headers["etag"] != created.headers["etag"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_on_a_stale_read_is_refused_and_changes_nothing(shared: Client, method: str) -> None:
    user = await shared.user()
    task = await shared.task(user)
    address = f"/tasks/{task['id']}"
    stale = (await shared.get(address, user)).headers["etag"]
    fresh = (await shared.put(address, user, json={"title": "Changed by another tab"})).headers["etag"]
    body = {"title": "Changed by this tab"} if method == "PUT" else None
    for condition in (stale, f"W/{fresh}", '"other"', fresh.strip('"'), ""):
        refused = await shared.call(method, address, user, json=body, headers={"If-Match": condition})
        assert (refused.status_code, refused.json()["code"]) == (412, "stale"), condition
    assert (await shared.get(address, user)).json()["data"]["task"]["title"] == "Changed by another tab"
    taken = await shared.call(method, address, user, json=body, headers={"If-Match": f'"other", {fresh}'})
    assert taken.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_star_matches_whatever_is_there_and_nothing_that_is_not(shared: Client, method: str) -> None:
    user = await shared.user()
    task = await shared.task(user)
    body = {"title": "Any state"} if method == "PUT" else None
    star = {"If-Match": "*"}
    assert (await shared.call(method, f"/tasks/{task['id']}", user, json=body, headers=star)).status_code == 200
    assert (await shared.call(method, "/tasks/999999999", user, json=body, headers=star)).status_code == 404


async def test_a_stranger_learns_nothing_from_a_condition(shared: Client) -> None:
    owner, other = await shared.user(), await shared.user()
    task = await shared.task(owner)
    tag = (await shared.get(f"/tasks/{task['id']}", owner)).headers["etag"]
    assert (await shared.get(f"/tasks/{task['id']}", other, headers={"If-None-Match": tag})).status_code == 403
    refused = await shared.delete(f"/tasks/{task['id']}", other, headers={"If-Match": '"other"'})
    assert refused.status_code == 403


async def test_a_user_is_deleted_only_as_they_were_seen(shared: Client) -> None:
    admin, user = await shared.admin(), await shared.user()
    seen = (await shared.get(f"/users/{user.id}", admin)).headers["etag"]
    await shared.task(user)
    refused = await shared.delete(f"/users/{user.id}", admin, headers={"If-Match": seen})
    assert (refused.status_code, refused.json()["code"]) == (412, "stale")
    now = (await shared.get(f"/users/{user.id}", admin)).headers["etag"]
    assert (await shared.delete(f"/users/{user.id}", admin, headers={"If-Match": now})).status_code == 200
