"""Whatever JSON, whatever query, whatever bytes: never 5xx, and every refusal in the one shape."""

import string
from urllib.parse import quote

import pytest
from httpx2 import Response
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.client import Client, User
from tests.support.problems import problem_of

FUZZ = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    # The service stays from example to example, as it would for an attacker.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Bodies as they are spelled, so that what no encoder would write is there too.
SCALARS = st.one_of(
    st.none().map(lambda _: "null"),
    st.sampled_from(["true", "false", "NaN", "-Infinity", "1e999", "-0", "0.1e-400", "9" * 400, "''", "undefined"]),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=40).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
    st.sampled_from(['"\\ud800"', '"\\u0000"', '"\\uDFFF\\uD800"', '"\\x"']),
    st.sampled_from(['"PENDING"', '"COMPLETED"', '"a@example.com"', '"secret 7"']),
)  # fmt: skip


def _nested(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(children, max_size=4).map(lambda parts: f"[{','.join(parts)}]") | _object(children)


def _object(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(st.sampled_from(NAMES), values) | st.tuples(st.text(string.printable, max_size=8), values)
    written = members.map(lambda member: f'"{member[0]}":{member[1]}')
    return st.lists(written, max_size=7).map(lambda parts: "{" + ",".join(parts) + "}")


NAMES = ["title", "description", "status", "name", "email", "password", "role", "theme", "notifications", "pageSize"]
JSON = st.recursive(SCALARS, _nested, max_leaves=12)
BODIES = _object(JSON) | JSON
WRITES = [
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/tasks"),
    ("PUT", "/tasks/{task}"),
    ("PUT", "/users/me/preferences"),
]


@pytest.fixture(scope="module")
async def user(process: Client) -> User:
    return await process.user()


@pytest.fixture(scope="module")
async def admin(process: Client) -> User:
    return await process.admin()


@pytest.fixture(scope="module")
async def task(process: Client, user: User) -> int:
    made: int = (await process.task(user))["id"]
    return made


def sound(response: Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        problem_of(response)
    else:
        assert response.json()["success"] is True


@pytest.mark.parametrize(("method", "path"), WRITES)
@FUZZ
@given(body=BODIES)
@example(body="[" * 500 + "]" * 500)
async def test_any_json(shared: Client, user: User, task: int, method: str, path: str, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    content = body.encode("utf-8", "surrogatepass")
    sound(await shared.call(method, path.format(task=task), user, headers=headers, content=content))


@pytest.mark.parametrize(("method", "path"), WRITES)
@FUZZ
@given(
    body=st.binary(max_size=200), media_type=st.sampled_from(["application/json", "x/y+json"]) | st.text(max_size=20)
)
async def test_any_bytes(
    shared: Client, user: User, task: int, method: str, path: str, body: bytes, media_type: str
) -> None:
    raw = {b"Authorization": user.headers["Authorization"].encode(), b"Content-Type": media_type.encode()}
    sound(await shared.http.request(method, f"/api/v1{path.format(task=task)}", headers=raw, content=body))


PARAMETERS = ["page", "limit", "q", "status", "sort", "cursor"]
VALUES = st.one_of(
    st.integers().map(str),
    st.sampled_from(["", "10", "PENDING", "-createdAt", "title", "%00", "%ff", "%", "NaN", "1e9", "%ED%A0%80"]),
    st.sampled_from(["+", "&&", "=", ";", "?", "[]", "%2526", "%u0000"]),
    st.text(max_size=20).map(lambda text: quote(text.encode("utf-8", "surrogatepass"))),
    st.text(string.ascii_letters + string.digits + string.punctuation.replace("#", "") + " ", max_size=20),
)  # fmt: skip
QUERIES = st.lists(
    st.tuples(st.sampled_from(PARAMETERS) | st.text(string.ascii_letters, max_size=5), VALUES), max_size=6
)


@pytest.mark.parametrize("path", ["/tasks", "/users", "/tasks/stats", "/auth/me"])
@FUZZ
@given(query=QUERIES)
@example(query=[("q", "%")])
@example(query=[("q", "%25%5c_"), ("sort", "title"), ("cursor", "")])
@example(query=[("page", str(2**53 - 1)), ("limit", "100")])
async def test_any_query(shared: Client, admin: User, path: str, query: list[tuple[str, str]]) -> None:
    sound(await shared.get(f"{path}?{'&'.join(f'{name}={value}' for name, value in query)}", admin))


@FUZZ
@given(
    parts=st.lists(
        st.sampled_from(["api", "v1", "tasks", "users", "me", "stats", "1"]) | st.text(max_size=8), max_size=5
    )
)
async def test_any_path(shared: Client, admin: User, parts: list[str]) -> None:
    path = "/".join(quote(part.encode("utf-8", "surrogatepass"), safe="") for part in parts)
    response = await shared.http.get(f"/{path}", headers=admin.headers)
    assert response.status_code < 500
    if response.status_code >= 400:
        problem_of(response)


HEADERS = [
    "Authorization",
    "If-None-Match",
    "If-Match",
    "Idempotency-Key",
    "X-Request-Id",
    "traceparent",
    "Origin",
    "Accept",
]


@FUZZ
@given(
    headers=st.dictionaries(
        st.sampled_from(HEADERS), st.binary(max_size=40).filter(lambda v: not set(v) & set(b"\r\n\0"))
    )
)
async def test_any_header(shared: Client, user: User, task: int, headers: dict[str, bytes]) -> None:
    raw = {b"Authorization": user.headers["Authorization"].encode()}
    raw |= {name.encode(): value for name, value in headers.items()}
    response = await shared.http.put(f"/api/v1/tasks/{task}", headers=raw, json={"title": "Write it"})
    sound(response)
    sound(await shared.http.post("/api/v1/tasks", headers=raw, json={"title": "Write it"}))
