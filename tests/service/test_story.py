"""The old clients' whole story, in the order in which the React application and the Postman collection tell it."""

from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from tests.support.client import PASSWORD, Client

ORIGIN = "http://localhost:3000"
BASE = "/api/v1"

pytestmark = pytest.mark.usefixtures("documented")


class OldClient:
    """Sends what axios and Postman send and nothing else: no condition, no key, no cursor."""

    def __init__(self, http: AsyncClient) -> None:
        self._http = http
        self._token: str | None = None

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        headers = {"Accept": "application/json, text/plain, */*", "Origin": ORIGIN}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        response = await self._http.request(method, f"{BASE}{path}", headers=headers, json=body)
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["access-control-allow-credentials"] == "true"
        if response.status_code == 401:
            self._token = None
        return response

    async def data(self, method: str, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        """What the pages show; fails on anything but success."""
        response = await self.ask(method, path, body)
        assert response.status_code == status, response.text
        assert response.json()["success"] is True
        return response.json().get("data")

    async def message(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        """What the red box shows: the application reads ``response.data.message`` on any failure."""
        response = await self.ask(method, path, body)
        assert response.json()["success"] is False
        return response.status_code, response.json()["message"]

    async def log_in(self, email: str, password: str = PASSWORD) -> None:
        self._token = (await self.data("POST", "/auth/login", {"email": email, "password": password}))["token"]


async def test_a_user_keeps_tasks_and_an_administrator_keeps_users(client: Client) -> None:  # noqa: PLR0915 (one story)
    root = (await client.get("//")).json()
    assert root == {"message": root["message"], "version": root["version"], "status": "running"}
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type"
    assert (await client.call("OPTIONS", "/tasks", headers=preflight)).is_success

    ada = OldClient(client.http)
    assert await ada.message("GET", "/auth/me") == (401, "Please log in")
    weak = {"name": "Ada", "email": "ada@example.com", "password": "short"}
    assert await ada.message("POST", "/auth/register", weak) == (400, "Password must be at least 6 characters")
    account = {"name": "Ada Lovelace", "email": "Ada@example.com", "password": PASSWORD}
    made = await ada.data("POST", "/auth/register", account, 201)
    assert await ada.message("POST", "/auth/register", account) == (400, "User already exists with this email")

    assert await ada.message("POST", "/auth/login", {"email": "ada@example.com", "password": "wrong 1"}) == (
        401,
        "Invalid email or password",
    )
    await ada.log_in("ada@example.com")
    me = (await ada.data("GET", "/auth/me"))["user"]
    assert me == {"id": made["user"]["id"], "email": "ada@example.com", "name": "Ada Lovelace", "role": "USER"}

    assert (await ada.data("GET", "/tasks?page=1&limit=10"))["tasks"] == []
    report = (await ada.data("POST", "/tasks", {"title": "Write the report"}, 201))["task"]
    call = (await ada.data("POST", "/tasks", {"title": "Call Bob", "description": "today"}, 201))["task"]
    page = await ada.data("GET", "/tasks?page=1&limit=10")
    assert [task["title"] for task in page["tasks"]] == ["Call Bob", "Write the report"]
    assert page["pagination"] == {"currentPage": 1, "totalPages": 1, "totalTasks": 2, "limit": 10}
    assert await ada.message("POST", "/tasks", {"title": "x"}) == (400, "Title must be at least 3 characters")

    done = await ada.data("PUT", f"/tasks/{report['id']}", {"status": "COMPLETED"})
    assert done["task"]["status"] == "COMPLETED"
    completed = await ada.data("GET", "/tasks?status=COMPLETED&page=1&limit=10")
    assert [task["id"] for task in completed["tasks"]] == [report["id"]]
    assert (await ada.data("GET", f"/tasks/{report['id']}"))["task"]["user"]["email"] == "ada@example.com"
    await ada.data("DELETE", f"/tasks/{call['id']}")
    assert await ada.message("GET", f"/tasks/{call['id']}") == (404, "Task not found")

    bob = OldClient(client.http)
    await bob.data("POST", "/auth/register", {"name": "Bob", "email": "bob@example.com", "password": PASSWORD}, 201)
    await bob.log_in("bob@example.com")
    assert await bob.message("GET", f"/tasks/{report['id']}") == (403, "This task belongs to another user")
    assert await bob.message("GET", "/users") == (403, "Only an administrator may do this")
    refused = {"name": "Bob", "email": "bob2@example.com", "password": PASSWORD, "role": "ADMIN"}
    assert (await bob.message("POST", "/auth/register", refused))[0] == 403

    grace = OldClient(client.http)
    await grace.log_in((await client.admin()).email)
    users = await grace.data("GET", "/users?page=1&limit=10")
    assert [(user["name"], user["_count"]["tasks"]) for user in users["users"]] == [
        ("Grace Hopper", 0),
        ("Bob", 0),
        ("Ada Lovelace", 1),
    ]
    assert users["pagination"] == {"currentPage": 1, "totalPages": 1, "totalUsers": 3, "limit": 10}
    shown = (await grace.data("GET", f"/users/{me['id']}"))["user"]
    assert [task["title"] for task in shown["tasks"]] == ["Write the report"]
    assert (await grace.data("GET", f"/tasks/{report['id']}"))["task"]["id"] == report["id"]
    own_id = users["users"][0]["id"]
    assert await grace.message("DELETE", f"/users/{own_id}") == (400, "You cannot delete your own account")
    await grace.data("DELETE", f"/users/{me['id']}")
    assert await grace.message("GET", f"/users/{me['id']}") == (404, "User not found")
    assert await grace.message("GET", f"/tasks/{report['id']}") == (404, "Task not found")

    # The deleted user's page meets 401 and goes to the login page, which lets nobody in.
    assert (await ada.message("GET", "/tasks"))[0] == 401
    login = {"email": "ada@example.com", "password": PASSWORD}
    assert await ada.message("POST", "/auth/login", login) == (401, "Invalid email or password")
    assert (await bob.data("GET", "/auth/me"))["user"]["name"] == "Bob"
