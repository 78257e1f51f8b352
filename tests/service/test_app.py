"""The composition: which addresses there are in which set-up, and what the old clients' habits meet."""

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from service import __version__
from service.app import UnknownRoomError, create_api
from service.settings import Database, Http, Rooms, Settings
from tests.support.client import Client

ALWAYS = {"GET /", "GET /api/v1", "GET /health/live", "GET /health/ready", "GET /openapi.json"}
ROOMS = {
    "auth": {
        "GET /.well-known/jwks.json",
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/logout",
        "GET /api/v1/auth/me",
    },
    "users": {
        "GET /api/v1/users",
        "GET /api/v1/users/stats",
        "GET /api/v1/users/me/preferences",
        "PUT /api/v1/users/me/preferences",
        "GET /api/v1/users/{id}",
        "DELETE /api/v1/users/{id}",
    },
    "tasks": {
        "GET /api/v1/tasks",
        "POST /api/v1/tasks",
        "GET /api/v1/tasks/stats",
        "GET /api/v1/tasks/{id}",
        "PUT /api/v1/tasks/{id}",
        "DELETE /api/v1/tasks/{id}",
    },
}


def api_of(*rooms: str, docs: bool = False) -> FastAPI:
    database = Database(url=SecretStr("postgresql://"))
    return create_api(Settings(database=database, rooms=Rooms(names=rooms), http=Http(docs=docs)))


def routes_of(api: FastAPI) -> set[str]:
    """Method and template of everything that a process answers, in the document or not."""
    return {
        f"{method} {getattr(context, 'path', '?')}"
        for context in iter_route_contexts(api.routes)
        for method in (getattr(context, "methods", None) or {"ANY"}) - {"HEAD"}
    }


@pytest.mark.parametrize("rooms", [("tasks",), ("auth",), ("users",), ("auth", "users", "tasks"), ()], ids="+".join)
def test_a_process_has_the_routes_of_its_rooms_and_no_other(rooms: tuple[str, ...]) -> None:
    assert routes_of(api_of(*rooms)) == ALWAYS.union(*(ROOMS[room] for room in rooms))


def test_the_rooms_of_the_default_are_all_rooms() -> None:
    api = create_api(Settings(database=Database(url=SecretStr("postgresql://"))))
    assert routes_of(api) == ALWAYS.union(*ROOMS.values()) | {"GET /docs"}


def test_an_unknown_room_is_refused_by_name() -> None:
    with pytest.raises(
        UnknownRoomError, match=r"^TASKS_ROOMS_NAMES: billing is not a room; there are auth, users, tasks$"
    ):
        api_of("tasks", "billing")


def test_docs_are_off_by_setting() -> None:
    assert "GET /docs" in routes_of(api_of("tasks", docs=True))
    assert not [route for route in routes_of(api_of("tasks")) if "docs" in route or "redoc" in route]


@pytest.mark.parametrize("path", ["//", "/", ""])
async def test_the_root_tells_what_runs_without_the_envelope(shared: Client, path: str) -> None:
    response = await shared.get(path)
    assert response.status_code == 200
    assert list(response.json()) == ["message", "version", "status"]
    assert (response.json()["version"], response.json()["status"]) == (__version__, "running")


async def test_the_root_refuses_a_query_as_every_address_does(shared: Client) -> None:
    assert (await shared.get("//?verbose=1")).status_code == 400


async def test_a_trailing_slash_changes_nothing(shared: Client) -> None:
    user = await shared.user()
    created = await shared.post("/tasks/", user, json={"title": "Write the report"})
    assert created.status_code == 201
    task_id = created.json()["data"]["task"]["id"]
    for path in (f"/tasks/{task_id}", "/tasks", "/auth/me", "/tasks?limit=5", "/users/me/preferences"):
        name, _, query = path.partition("?")
        plain, slashed = (
            await shared.get(path, user),
            await shared.get(f"{name}/?{query}" if query else f"{name}/", user),
        )
        assert (slashed.status_code, slashed.content) == (200, plain.content)


async def test_head_is_answered_as_get(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user)
    for path in ("/tasks", f"/tasks/{task['id']}", "/auth/me", "//", "//health/live", "//openapi.json"):
        get, head = await shared.get(path, user), await shared.call("HEAD", path, user)
        assert head.status_code == 200, path
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == get.headers.get(name), path
    assert (await shared.call("HEAD", "/tasks")).status_code == 401
    assert (await shared.call("HEAD", "/auth/login")).status_code == 405


@pytest.mark.parametrize(
    "path", ["//nothing", "/nothing", "//api/v2/tasks", "//metrics", "/metrics", "//docs/x", "//redoc"]
)
async def test_an_unknown_address_is_a_problem_too(shared: Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = await shared.call(method, path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["instance"] == response.request.url.path


async def test_no_public_answer_holds_metrics(shared: Client) -> None:
    for path in ("//metrics", "//metrics/", "/metrics", "//health/metrics", "//"):
        assert "http_server_request_duration_seconds" not in (await shared.get(path)).text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/tasks", "GET, POST"),
        ("POST", "/tasks/1", "DELETE, GET, PUT"),
        ("GET", "/auth/login", "POST"),
        ("POST", "/users/me/preferences", "GET, PUT"),
        ("DELETE", "//", "GET"),
    ],
)
async def test_a_method_that_an_address_lacks_is_405_with_those_it_has(
    shared: Client, method: str, path: str, allowed: str
) -> None:
    response = await shared.call(method, path, await shared.user())
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed
