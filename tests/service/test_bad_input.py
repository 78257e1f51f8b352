"""Bodies that cannot be understood: always 400, 413 or 415 in the one shape, with the field where there is one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.client import PASSWORD, Client, User
from tests.support.problems import problem_of, refused

JSON = {"Content-Type": "application/json"}
LIMIT = 64 * 1024

# Every route that takes a body, with one that it accepts.
ROUTES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "register": ("POST", "/auth/register", {"name": "Ada", "email": "new@example.com", "password": PASSWORD}),
    "login": ("POST", "/auth/login", {"email": "new@example.com", "password": PASSWORD}),
    "create": ("POST", "/tasks", {"title": "Write it", "description": "In full", "status": "PENDING"}),
    "update": ("PUT", "/tasks/{task}", {"title": "Write it", "description": "In full", "status": "PENDING"}),
    "preferences": ("PUT", "/users/me/preferences", {"theme": "dark", "notifications": {"email": True}, "pageSize": 5}),
}
ALL_ROUTES = pytest.mark.parametrize("route", ROUTES)

BODIES = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "null": b"null",
    "array": b"[]",
    "string": b'"title"',
    "number": b"7",
    "true": b"true",
    "open": b"{",
    "cut": b'{"title": "Wri',
    "cut escape": b'{"title": "\\u00',
    "no value": b'{"title": }',
    "trailing comma": b'{"title": "Write it",}',
    "two documents": b'{"title": "Write it"}{"title": "Write it"}',
    "single quotes": b"{'title': 'Write it'}",
    "comment": b'{"title": "Write it" /* quietly */}',
    "NaN": b'{"title": NaN}',
    "Infinity": b'{"title": Infinity}',
    "-Infinity": b'{"title": -Infinity}',
    "NaN alone": b"NaN",
    "huge exponent": b'{"title": 1e999999}',
    "5,000 digits": b'{"title": ' + b"9" * 5000 + b"}",
    "control character": b'{"title": "a\x01b\nc"}',
    "NUL byte": b'{"title": "Write it"}\x00',
    "not UTF-8": b'{"title": "\xff\xfe\xfd"}',
    "overlong UTF-8": b'{"title": "Write\xc0\xafit"}',
    "encoded surrogate": b'{"title": "Write \xed\xa0\x80 it"}',
    "lone surrogate": b'{"title": "Write \\ud800 it"}',
    "lone low surrogate": b'{"title": "Write \\udc00 it"}',
    "surrogate as a name": b'{"\\ud800": 1}',
    "byte order mark": b'\xef\xbb\xbf{"title": "Write it"}',
    "UTF-16": '{"title": "Write it"}'.encode("utf-16"),
    "deep arrays": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep and open": b"[" * LIMIT,
    "deep in a field": b'{"title": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "form": b"title=Write+it",
}


@pytest.fixture
async def user(shared: Client) -> User:
    return await shared.user()


async def at(client: Client, user: User, route: str) -> tuple[str, str, dict[str, Any]]:
    """Method, path and good body of a route, with a task of the user's where one is named."""
    method, path, valid = ROUTES[route]
    return method, path.format(task=(await client.task(user))["id"] if "{task}" in path else ""), valid


@ALL_ROUTES
async def test_a_body_that_is_no_json_object_is_400(shared: Client, user: User, route: str) -> None:
    method, path, _ = await at(shared, user, route)
    for name, body in BODIES.items():
        response = await shared.call(method, path, user, headers=JSON, content=body)
        assert response.status_code == 400, f"{name}: {response.text}"
        assert problem_of(response, 400, "validation_failed")["errors"], name


@ALL_ROUTES
async def test_a_body_100_000_deep_is_refused_by_its_size(shared: Client, user: User, route: str) -> None:
    method, path, _ = await at(shared, user, route)
    body = b"[" * 100_000 + b"]" * 100_000
    problem_of(await shared.call(method, path, user, headers=JSON, content=body), 413, "body_too_large")


NO_STRING: list[Any] = [
    0,
    -1,
    2**63,
    2**70,
    1.5,
    True,
    [],
    ["a"],
    {},
    {"a": 1},
    "\0",
    "Write\0it 7",
    "new\0@example.com",
]
NO_CHOICE: list[Any] = [*NO_STRING, None, "", "pending", "PENDING ", "'; DROP TABLE tasks; --"]
TEXT = [None, *NO_STRING, "", "  ", "\t\n", "x" * 501]
WRONG: dict[str, dict[str, list[Any]]] = {
    "register": {
        "name": TEXT,
        "email": [*TEXT, "a", "a@", "@b.c", "a@b"],
        "password": [*TEXT, "abcdef"],
        "role": NO_CHOICE,
    },
    "login": {"email": [*TEXT, "a@b"], "password": [*TEXT, "x" * 129]},
    "create": {"title": [*TEXT, "ab", " ab "], "description": [*NO_STRING, "x" * 501], "status": NO_CHOICE},
    "update": {"title": [*TEXT, "ab", " ab "], "description": [*NO_STRING, "x" * 501], "status": NO_CHOICE},
    "preferences": {
        "theme": [*NO_STRING, "", "DARK"],
        "notifications": [*NO_STRING, "yes", True],
        "pageSize": [0, -1, 101, 2**31, 2**63, 2**70, 1.0, 1.5, True, "10", "\0", [], {}, [1]],
    },
}


@ALL_ROUTES
async def test_a_wrong_value_is_400_and_names_its_field(shared: Client, user: User, route: str) -> None:
    method, path, valid = await at(shared, user, route)
    for field, values in WRONG[route].items():
        for value in values:
            response = await shared.call(method, path, user, json={**valid, field: value})
            assert response.status_code == 400, f"{field} = {value!r}: {response.status_code} {response.text}"
            named = problem_of(response)["errors"][0]["field"].partition(".")[0]
            assert named == field, f"{field} = {value!r}: {response.text}"


@ALL_ROUTES
async def test_numbers_that_json_lacks_are_400_in_every_field(shared: Client, user: User, route: str) -> None:
    method, path, valid = await at(shared, user, route)
    for field in WRONG[route]:
        for number in ("NaN", "Infinity", "-Infinity", "1e400", "-1e-400", "9" * 4000):
            body = json.dumps({**valid, field: "\1"}).replace('"\\u0001"', number).encode()
            refused(await shared.call(method, path, user, headers=JSON, content=body))


@ALL_ROUTES
async def test_an_unknown_member_is_400_and_named(shared: Client, user: User, route: str) -> None:
    method, path, valid = await at(shared, user, route)
    for name in (
        "id",
        "userId",
        "createdAt",
        "isAdmin",
        "__proto__",
        "user_id",
        "\0",
        "",
        "x" * 5000,
        "{label}",
        "\u202e",
    ):
        response = await shared.call(method, path, user, json={**valid, name: 1})
        [error] = refused(response)["errors"]
        assert error["field"] == (name[:200] or "body")
        assert len(response.content) < 2000


async def test_an_unknown_member_inside_a_member_is_named_by_its_path(shared: Client, user: User) -> None:
    for inner in ({"email": True, "sms": True}, {"email": "yes"}, {"email": 1}, {"email": None}, {}):
        body = refused(await shared.put("/users/me/preferences", user, json={"notifications": inner}))
        assert body["errors"][0]["path"].startswith("notifications.")


async def test_of_a_member_given_twice_the_last_counts_and_is_checked(shared: Client, user: User) -> None:
    made = await shared.post("/tasks", user, headers=JSON, content=b'{"title": "First", "title": "Second"}')
    assert made.json()["data"]["task"]["title"] == "Second"
    refused(await shared.post("/tasks", user, headers=JSON, content=b'{"title": "First", "title": 7}'), field="title")
    person = '"name": "Eve", "email": "eve@example.com", "password": "secret 7"'
    smuggled = f'{{{person}, "role": "USER", "role": "ADMIN"}}'.encode()
    problem_of(await shared.post("/auth/register", headers=JSON, content=smuggled), 403, "role_not_allowed")


async def test_text_in_any_script_is_kept_as_it_is(shared: Client, user: User) -> None:
    for title in (
        "\u202eevil",
        "\U0001f600\U0001f600\U0001f600",
        "a\u0301bc",
        "\x1b[31mred",
        "<script>",
        "' OR 1=1 --",
        "%s %(x)s {0}",
    ):
        task = await shared.task(user, title=title, description=title)
        response = await shared.get(f"/tasks/{task['id']}", user)
        assert response.json()["data"]["task"]["title"] == title


@ALL_ROUTES
async def test_another_content_type_is_415(shared: Client, user: User, route: str) -> None:
    method, path, valid = await at(shared, user, route)
    content = json.dumps(valid).encode()
    types = [
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx",
        "application", "application/xml", "json", "", ";", "application/json, text/plain", "*/*",
        "\N{LATIN SMALL LETTER SHARP S}",
    ]  # fmt: skip
    for media_type in types:
        headers = {**user.headers, "Content-Type": media_type}
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        response = await shared.http.request(method, f"/api/v1{path}", headers=raw, content=content)
        assert response.status_code == 415, media_type
        problem_of(response, 415, "unsupported_media_type")
    problem_of(await shared.call(method, path, user, content=content), 415)


async def test_json_media_types_of_every_spelling_are_taken(shared: Client, user: User) -> None:
    for media_type in (
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/vnd.x+json",
    ):
        headers = {"Content-Type": media_type}
        response = await shared.post("/tasks", user, headers=headers, content=b'{"title": "Write it"}')
        assert response.status_code == 201, media_type


@ALL_ROUTES
async def test_a_body_over_64_kib_is_413_with_and_without_a_length(shared: Client, user: User, route: str) -> None:
    method, path, valid = await at(shared, user, route)
    too_long = json.dumps(valid).encode() + b" " * LIMIT

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(too_long), 4096):
            yield too_long[start : start + 4096]

    problem_of(await shared.call(method, path, user, headers=JSON, content=too_long), 413, "body_too_large")
    announced = await shared.call(method, path, user, headers=JSON, content=chunks())
    problem_of(announced, 413, "body_too_large")


async def test_a_body_of_exactly_64_kib_is_read(shared: Client, user: User) -> None:
    body = b'{"title": "Write it"}'
    response = await shared.post("/tasks", user, headers=JSON, content=body + b" " * (LIMIT - len(body)))
    assert response.status_code == 201


async def test_a_length_that_lies_does_not_open_the_door(shared: Client, user: User) -> None:
    """The size that counts is what arrives, not what is announced."""
    for length in ("9" * 400, str(2**63), str(LIMIT + 1)):
        response = await shared.post("/tasks", user, headers={**JSON, "Content-Length": length}, content=b"{}")
        problem_of(response, 413, "body_too_large")
    for length in ("1", "-1", "x", "", "0x10", "\N{SUPERSCRIPT TWO}"):
        headers = {**user.headers, **JSON, "Content-Length": length}
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        response = await shared.http.request("POST", "/api/v1/tasks", headers=raw, content=b"x" * (LIMIT + 1))
        problem_of(response, 413, "body_too_large")
