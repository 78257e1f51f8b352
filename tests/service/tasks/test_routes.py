"""One task: create, read, update, delete, as the old clients know them."""

import re

from tests.support.client import Client

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
MEMBERS = ["id", "title", "description", "status", "userId", "createdAt", "updatedAt"]


async def test_create_answers_the_task_with_its_owner(shared: Client) -> None:
    user = await shared.user(name="Ada Lovelace")
    sent = {"title": "Write the report", "description": "Two pages", "status": "IN_PROGRESS"}
    response = await shared.post("/tasks", user, json=sent)
    assert response.status_code == 201
    body = response.json()
    assert list(body) == ["success", "message", "data"]
    assert (body["success"], body["message"]) == (True, "Task created successfully")
    assert list(body["data"]) == ["task"]
    task = body["data"]["task"]
    assert list(task) == [*MEMBERS, "user"]
    assert {name: task[name] for name in sent} == sent
    assert type(task["id"]) is int
    assert task["userId"] == user.id
    assert TIME.fullmatch(task["createdAt"])
    assert task["updatedAt"] == task["createdAt"]
    assert task["user"] == {"id": user.id, "name": "Ada Lovelace", "email": user.email}
    assert list(task["user"]) == ["id", "name", "email"]


async def test_what_is_left_out_has_its_default(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user, "Write the report")
    assert (task["description"], task["status"]) == (None, "PENDING")
    listed = (await shared.get("/tasks", user)).json()["data"]["tasks"][0]
    assert listed["description"] is None


async def test_a_task_is_read_as_it_was_created(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user, description="Two pages")
    response = await shared.get(f"/tasks/{task['id']}", user)
    assert response.status_code == 200
    assert response.json() == {"success": True, "data": {"task": task}}
    assert list(response.json()["data"]["task"]) == [*MEMBERS, "user"]


async def test_an_administrator_reads_a_task_with_its_owner(shared: Client) -> None:
    user, admin = await shared.user(), await shared.admin()
    task = await shared.task(user)
    response = await shared.get(f"/tasks/{task['id']}", admin)
    assert (response.status_code, response.json()["data"]["task"]) == (200, task)


async def test_update_changes_what_is_sent_and_keeps_the_rest(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user, "Write the report", description="Two pages")
    response = await shared.put(f"/tasks/{task['id']}", user, json={"status": "COMPLETED"})
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["success", "message", "data"]
    assert (body["success"], body["message"]) == (True, "Task updated successfully")
    updated = body["data"]["task"]
    assert list(updated) == MEMBERS
    kept = ("id", "title", "description", "userId", "createdAt")
    assert {name: updated[name] for name in kept} == {name: task[name] for name in kept}
    assert updated["status"] == "COMPLETED"
    assert updated["updatedAt"] > task["updatedAt"]
    read = (await shared.get(f"/tasks/{task['id']}", user)).json()["data"]["task"]
    assert {name: read[name] for name in MEMBERS} == updated


async def test_update_can_set_every_member_and_empty_the_description(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user, description="Two pages")
    everything = {"title": "  Another title  ", "description": None, "status": "IN_PROGRESS"}
    updated = (await shared.put(f"/tasks/{task['id']}", user, json=everything)).json()["data"]["task"]
    assert (updated["title"], updated["description"], updated["status"]) == ("Another title", None, "IN_PROGRESS")


async def test_a_deleted_task_is_gone(shared: Client) -> None:
    user = await shared.user()
    task, other = await shared.task(user), await shared.task(user)
    response = await shared.delete(f"/tasks/{task['id']}", user)
    assert (response.status_code, response.json()) == (200, {"success": True, "message": "Task deleted successfully"})
    for method, body in (("GET", None), ("PUT", {"status": "PENDING"}), ("DELETE", None)):
        gone = await shared.call(method, f"/tasks/{task['id']}", user, json=body)
        assert (gone.status_code, gone.json()["code"]) == (404, "task_not_found")
        assert gone.json()["message"] == "Task not found"
    left = (await shared.get("/tasks", user)).json()["data"]["tasks"]
    assert [task["id"] for task in left] == [other["id"]]


async def test_a_refused_write_changes_nothing(shared: Client) -> None:
    owner, other, admin = await shared.user(), await shared.user(), await shared.admin()
    task = await shared.task(owner)
    for stranger in (other, admin):
        put = await shared.put(f"/tasks/{task['id']}", stranger, json={"title": "Mine now"})
        delete = await shared.delete(f"/tasks/{task['id']}", stranger)
        assert [put.status_code, delete.status_code] == [403, 403]
        assert put.json()["code"] == "not_your_task"
    assert (await shared.get(f"/tasks/{task['id']}", owner)).json()["data"]["task"] == task


async def test_nobody_sees_or_counts_the_tasks_of_others(shared: Client) -> None:
    owner, other = await shared.user(), await shared.user()
    await shared.task(owner)
    empty = await shared.get("/tasks", other)
    assert empty.json()["data"]["tasks"] == []
    assert empty.json()["data"]["pagination"]["totalTasks"] == 0
    assert (await shared.get("/tasks/stats", other)).json()["data"]["total"] == 0
