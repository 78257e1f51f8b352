"""A deleted user leaves nothing: no row, no session, and no way to write in the seconds before others hear of it."""

import psycopg
import pytest

from tests.support.client import PASSWORD, Client

pytestmark = pytest.mark.usefixtures("documented")


async def test_everything_of_a_user_goes_with_them(client: Client, sql: psycopg.Connection) -> None:
    admin, user, other = await client.admin(), await client.user(), await client.user()
    tasks = [await client.task(user), await client.task(user)]
    kept = await client.task(other)
    await client.put("/users/me/preferences", user, json={"theme": "dark"})
    await client.put("/users/me/preferences", other, json={"theme": "light"})
    response = await client.delete(f"/users/{user.id}", admin)
    assert (response.status_code, response.json()) == (200, {"success": True, "message": "User deleted successfully"})
    assert sql.execute("SELECT id FROM users ORDER BY id").fetchall() == [(admin.id,), (other.id,)]
    assert sql.execute("SELECT id FROM tasks").fetchall() == [(kept["id"],)]
    assert sql.execute("SELECT user_id FROM preferences").fetchall() == [(other.id,)]
    for path in (f"/users/{user.id}", *(f"/tasks/{task['id']}" for task in tasks)):
        assert (await client.get(path, admin)).status_code == 404
    assert (await client.delete(f"/users/{user.id}", admin)).status_code == 404


async def test_all_their_sessions_end(client: Client) -> None:
    admin, user = await client.admin(), await client.user()
    login = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    tokens = [user.token, login.json()["data"]["token"]]
    await client.delete(f"/users/{user.id}", admin)
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (("GET", "/auth/me"), ("GET", "/tasks"), ("POST", "/tasks"), ("POST", "/auth/logout")):
            body = {"title": "From beyond"} if path == "/tasks" and method == "POST" else None
            assert (await client.call(method, path, headers=headers, json=body)).status_code == 401
    again = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (401, "wrong_credentials")


async def test_the_address_is_free_for_a_new_account_that_inherits_nothing(client: Client) -> None:
    admin, user = await client.admin(), await client.user()
    await client.task(user)
    await client.delete(f"/users/{user.id}", admin)
    body = {"name": "Somebody else", "email": user.email, "password": PASSWORD}
    made = (await client.post("/auth/register", json=body)).json()["data"]
    assert made["user"]["id"] != user.id
    mine = await client.get("/tasks", headers={"Authorization": f"Bearer {made['token']}"})
    assert mine.json()["data"]["tasks"] == []


async def test_until_other_servers_hear_of_it_a_token_reads_nothing_and_writes_nothing(
    client: Client, sql: psycopg.Connection
) -> None:
    user = await client.user()
    task = await client.task(user)
    # As another server's deletion looks from here before the next poll: the rows are gone, the token is not revoked.
    sql.execute("DELETE FROM users WHERE id = %s", (user.id,))
    assert (await client.get("/auth/me", user)).status_code == 401
    created = await client.post("/tasks", user, json={"title": "From beyond"})
    assert (created.status_code, created.json()["code"]) == (401, "not_signed_in")
    keyed = await client.post("/tasks", user, json={"title": "Beyond"}, headers={"Idempotency-Key": "k"})
    assert keyed.status_code == 401
    assert (await client.put("/users/me/preferences", user, json={"theme": "dark"})).status_code == 401
    assert (await client.get("/tasks", user)).json()["data"]["tasks"] == []
    assert (await client.get(f"/tasks/{task['id']}", user)).status_code == 404
    counts = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM preferences), count(*) FROM idempotency_keys"
    assert sql.execute(counts).fetchone() == (0, 0, 0)
