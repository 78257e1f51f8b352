"""Who may do what: every route of the document, tried by its owner, another user, an administrator and nobody."""

import copy
import itertools
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.support.client import PASSWORD, Client, User

Actor = Literal["owner", "other", "admin", "nobody"]
ACTORS: tuple[Actor, ...] = ("owner", "other", "admin", "nobody")
UNKNOWN_ID = 9_000_000_000_000_000

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Rule:
    """The status for each actor, and the body that a permitted caller would send."""

    owner: int
    other: int
    admin: int
    nobody: int
    body: dict[str, Any] | None = None


def everyone(status: int, body: dict[str, Any] | None = None) -> Rule:
    return Rule(status, status, status, status, body)


def signed_in(status: int, body: dict[str, Any] | None = None) -> Rule:
    return Rule(status, status, status, 401, body)


ADMINS_ONLY = Rule(owner=403, other=403, admin=200, nobody=401)
TITLE = {"title": "Write the report"}
REGISTRATION = {"name": "Ada Lovelace", "email": "matrix{n}@example.com", "password": PASSWORD}
LOGIN = {"email": "{email}", "password": PASSWORD}

# {id} is a task of the owner's below /tasks, and the owner themselves below /users.
RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/"): everyone(200),
    ("GET", "/health/live"): everyone(200),
    ("GET", "/health/ready"): everyone(200),
    ("GET", "/.well-known/jwks.json"): everyone(200),
    ("POST", "/api/v1/auth/register"): everyone(201, REGISTRATION),
    ("POST", "/api/v1/auth/login"): everyone(200, LOGIN),
    ("POST", "/api/v1/auth/logout"): signed_in(200),
    ("GET", "/api/v1/auth/me"): signed_in(200),
    ("GET", "/api/v1/tasks"): signed_in(200),
    ("POST", "/api/v1/tasks"): signed_in(201, TITLE),
    ("GET", "/api/v1/tasks/stats"): signed_in(200),
    ("GET", "/api/v1/tasks/{id}"): Rule(owner=200, other=403, admin=200, nobody=401),
    ("PUT", "/api/v1/tasks/{id}"): Rule(owner=200, other=403, admin=403, nobody=401, body=TITLE),
    ("DELETE", "/api/v1/tasks/{id}"): Rule(owner=200, other=403, admin=403, nobody=401),
    ("GET", "/api/v1/users/me/preferences"): signed_in(200),
    ("PUT", "/api/v1/users/me/preferences"): signed_in(200, {"theme": "dark"}),
    ("GET", "/api/v1/users"): ADMINS_ONLY,
    ("GET", "/api/v1/users/stats"): ADMINS_ONLY,
    ("GET", "/api/v1/users/{id}"): ADMINS_ONLY,
    ("DELETE", "/api/v1/users/{id}"): ADMINS_ONLY,
}
WITH_ID = [route for route in RULES if "{id}" in route[1]]


def routes_of(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}


def disagreements(document: dict[str, Any], rules: dict[tuple[str, str], Rule]) -> list[str]:
    """Each route that nobody decided about, and each rule that is about nothing."""
    routes = routes_of(document)
    undecided = [f"{method} {path}: a route without a rule" for method, path in routes - rules.keys()]
    empty = [f"{method} {path}: a rule without a route" for method, path in rules.keys() - routes]
    return sorted(undecided + empty)


async def actor_named(client: Client, name: Actor, owner: User) -> User | None:
    if name == "owner":
        return owner
    if name == "nobody":
        return None
    return await (client.admin() if name == "admin" else client.user())


def filled(body: dict[str, Any] | None, owner: User) -> dict[str, Any] | None:
    """A body with an address that is new, or the owner's."""
    if body is None:
        return None
    values = {"n": next(_NUMBERS), "email": owner.email}
    return {name: value.format(**values) if name == "email" else value for name, value in body.items()}


async def attempt(client: Client, route: tuple[str, str], actor: Actor, unknown_id: int | None = None) -> int:
    """The status that the actor meets on a fresh resource of a fresh owner's."""
    method, path = route
    owner = await client.user()
    caller = await actor_named(client, actor, owner)
    if "{id}" in path and unknown_id is None:
        resource = owner.id if "/users/" in path else (await client.task(owner))["id"]
        path = path.replace("{id}", str(resource))
    path = path.replace("{id}", str(unknown_id))
    response = await client.call(method, f"/{path}", caller, json=filled(RULES[route].body, owner))
    return response.status_code


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("route", RULES, ids=" ".join)
async def test_each_actor_meets_the_status_of_the_rule(shared: Client, route: tuple[str, str], actor: Actor) -> None:
    assert await attempt(shared, route, actor) == getattr(RULES[route], actor)


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("route", WITH_ID, ids=" ".join)
async def test_an_unknown_id_is_404_to_whoever_may_ask(shared: Client, route: tuple[str, str], actor: Actor) -> None:
    expected = 401 if actor == "nobody" else 404
    if "/users/" in route[1] and actor in ("owner", "other"):
        expected = 403
    assert await attempt(shared, route, actor, UNKNOWN_ID) == expected


async def test_who_may_not_ask_learns_nothing_of_what_is_wrong_with_it(shared: Client) -> None:
    user = await shared.user()
    task = await shared.task(user)
    json = {"Content-Type": "application/json"}
    for method, path in (("POST", "/tasks"), ("PUT", f"/tasks/{task['id']}"), ("PUT", "/users/me/preferences")):
        for content, headers in ((b"{", json), (b'{"title":1}', json), (b"", {}), (b"title=x", {})):
            response = await shared.call(method, path, content=content, headers=headers)
            assert response.status_code == 401, f"{method} {path} {content!r}"
    for method, path in (
        ("GET", "/tasks/abc"),
        ("GET", "/users/abc"),
        ("DELETE", "/users/0"),
        ("GET", "/tasks?page=0"),
    ):
        assert (await shared.call(method, path)).status_code == 401, path
    for method, path in (("GET", "/users/abc"), ("DELETE", "/users/0"), ("GET", "/users?limit=0")):
        assert (await shared.call(method, path, user)).status_code == 403, path


def test_every_route_has_a_rule_and_every_rule_a_route(openapi_document: dict[str, Any]) -> None:
    assert disagreements(openapi_document, RULES) == []


def test_the_document_shows_which_routes_need_a_token(openapi_document: dict[str, Any]) -> None:
    guarded = {
        (method.upper(), path)
        for path, operations in openapi_document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security")
    }
    assert guarded == {route for route, rule in RULES.items() if rule.nobody == 401}


def test_the_checker_finds_what_it_looks_for(openapi_document: dict[str, Any]) -> None:
    document = copy.deepcopy(openapi_document)
    document["paths"]["/api/v1/tasks/export"] = {"get": {}}
    document["paths"]["/api/v1/tasks/{id}"]["patch"] = {}
    rules = {**RULES, ("POST", "/api/v1/tasks/import"): signed_in(201)}
    assert disagreements(document, rules) == [
        "GET /api/v1/tasks/export: a route without a rule",
        "PATCH /api/v1/tasks/{id}: a route without a rule",
        "POST /api/v1/tasks/import: a rule without a route",
    ]
