"""Register, log in, who am I, log out: shapes, messages and refusals as the old clients know them."""

import re
from typing import Any

import pytest

from tests.support.client import PASSWORD, Client

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


def registration(email: str, **members: Any) -> dict[str, Any]:
    return {"name": "Ada Lovelace", "email": email, "password": PASSWORD, **members}


async def test_register_makes_a_user_and_logs_them_in(shared: Client) -> None:
    response = await shared.post("/auth/register", json=registration("ada@example.com"))
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["success", "message", "data"]
    assert (body["success"], body["message"]) == (True, "User registered successfully")
    assert list(body["data"]) == ["user", "token"]
    user = body["data"]["user"]
    assert list(user) == ["id", "email", "name", "role", "createdAt"]
    assert type(user["id"]) is int
    assert (user["email"], user["name"], user["role"]) == ("ada@example.com", "Ada Lovelace", "USER")
    assert TIME.fullmatch(user["createdAt"])
    me = await shared.get("/auth/me", headers={"Authorization": f"Bearer {body['data']['token']}"})
    assert me.json()["data"]["user"]["id"] == user["id"]


async def test_login_answers_user_and_token(shared: Client) -> None:
    made = await shared.post("/auth/register", json=registration("login@example.com"))
    registered = made.json()["data"]["user"]
    response = await shared.post("/auth/login", json={"email": "login@example.com", "password": PASSWORD})
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["success", "message", "data"]
    assert (body["success"], body["message"]) == (True, "Login successful")
    assert list(body["data"]) == ["user", "token"]
    user = body["data"]["user"]
    assert list(user) == ["id", "email", "name", "role", "createdAt", "updatedAt"]
    assert {name: user[name] for name in registered} == registered
    assert TIME.fullmatch(user["updatedAt"])


async def test_me_answers_the_profile(shared: Client) -> None:
    user = await shared.user(name="Ada Lovelace")
    response = await shared.get("/auth/me", user)
    assert response.status_code == 200
    expected = {"id": user.id, "email": user.email, "name": "Ada Lovelace", "role": "USER"}
    assert response.json() == {"success": True, "data": {"user": expected}}
    assert list(response.json()["data"]["user"]) == list(expected)


async def test_an_address_is_one_in_any_case_and_with_spaces_around(shared: Client) -> None:
    made = await shared.post("/auth/register", json=registration("  Case@Example.COM "))
    assert made.json()["data"]["user"]["email"] == "case@example.com"
    taken = await shared.post("/auth/register", json=registration("CASE@example.com"))
    assert (taken.status_code, taken.json()["code"]) == (400, "email_taken")
    assert taken.json()["message"] == "User already exists with this email"
    login = await shared.post("/auth/login", json={"email": "cAse@eXample.com", "password": PASSWORD})
    assert login.status_code == 200


async def test_nobody_registers_as_an_administrator(shared: Client) -> None:
    response = await shared.post("/auth/register", json=registration("root@example.com", role="ADMIN"))
    assert (response.status_code, response.json()["code"]) == (403, "role_not_allowed")
    assert "administrator" in response.json()["message"]
    # The address is still free, so nothing was created.
    assert (await shared.post("/auth/register", json=registration("root@example.com"))).status_code == 201


async def test_the_role_user_is_accepted(shared: Client) -> None:
    named = await shared.post("/auth/register", json=registration("plain@example.com", role="USER"))
    assert (named.status_code, named.json()["data"]["user"]["role"]) == (201, "USER")


async def test_login_does_not_tell_whether_the_address_or_the_password_is_wrong(shared: Client) -> None:
    user = await shared.user()
    wrong = await shared.post("/auth/login", json={"email": user.email, "password": "not the password 1"})
    unknown = await shared.post("/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["message"] == "Invalid email or password"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic dXNlcjpwYXNz", "x"])
async def test_anything_but_a_good_token_is_401(shared: Client, value: str) -> None:
    response = await shared.get("/auth/me", headers={"Authorization": value})
    assert response.status_code == 401
    assert response.json()["success"] is False
    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_is_written_in_any_case(shared: Client) -> None:
    user = await shared.user()
    response = await shared.get("/auth/me", headers={"Authorization": f"bearer {user.token}"})
    assert response.status_code == 200


async def test_logout_ends_this_session_and_no_other(shared: Client) -> None:
    user = await shared.user()
    login = await shared.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    other = {"Authorization": f"Bearer {login.json()['data']['token']}"}
    response = await shared.post("/auth/logout", user)
    assert (response.status_code, response.json()) == (200, {"success": True, "message": "Logout successful"})
    assert (await shared.get("/auth/me", user)).status_code == 401
    assert (await shared.post("/auth/logout", user)).status_code == 401
    assert (await shared.get("/auth/me", headers=other)).status_code == 200
