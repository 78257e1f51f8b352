"""Addresses, parameters, methods and headers that make no sense: 4xx in the one shape, and no effect."""

import pytest

from tests.support.client import Client, User
from tests.support.problems import problem_of, refused

IDS = (
    "0", "-1", "-0", str(2**53), str(2**63), str(2**64), str(2**70), "9" * 5000, "1e3", "1.5", "0x10", "true", "null",
    "NaN", "Infinity", "abc", "%00", "1%00", "%ED%A0%80", "%FF", "%0d%0aX-Evil:1", "1;2", "1,2", "%2e%2e", "1'--",
    "%F0%9F%98%80", "%D9%A1", "{id}", "%25", "%u0031", "[1]", "01", "1_0", "+1", "%201", "1.0",
)  # fmt: skip


async def test_an_id_that_is_none_is_400_for_every_method(shared: Client) -> None:
    admin = await shared.admin()
    for path, methods in (("tasks", ("GET", "PUT", "DELETE")), ("users", ("GET", "DELETE"))):
        for method in methods:
            for value in IDS:
                body = {"title": "Write it"} if method == "PUT" else None
                response = await shared.call(method, f"/{path}/{value}", admin, json=body)
                assert response.status_code == 400, f"{method} {path}/{value}: {response.text}"
                assert refused(response)["errors"][0]["field"] == "id"


QUERIES = (
    "page=0", "page=-1", f"page={2**53}", f"page={2**63}", f"page={2**70}", "page=" + "9" * 5000, "page=1.5",
    "page=NaN", "page=", "page", "page=true", "page=%00", "page=1e3", "page[]=1", "page=1%2C2", "PAGE=1", "limit=0",
    "page=1_0", "page=%2B1", "page=1.0", "page=01", "page=%201",
    "limit=101", "limit=-1", f"limit={2**70}", "limit=Infinity", "limit=", "limit=ten", "unknown=1", "=1", "%00=1",
    "%ED%A0%80=1", "page=1&page=1", "page=1&page=2", "page=1&%70age=1", "limit=1&limit=1",
    "&".join(f"a{n}=1" for n in range(100)),
    "__proto__=1", "%", "%zz", "constructor[prototype]=1", "a" * 9000 + "=1", "%F0%9F%98%80=1",
)  # fmt: skip
TASK_QUERIES = (
    *QUERIES, "q=%00", "q=a%00b", "q=" + "x" * 101, "q=a&q=b", "status=", "status=pending", "status=PENDING%20",
    "status=PENDING&status=PENDING", "status=%00", "status=1", "sort=", "sort=password_hash", "sort=createdAt;--",
    "sort=id", "sort=--createdAt", "sort=%2DcreatedAt,title", "cursor=x", "cursor=%00", "cursor=%FF",
    "cursor=" + "A" * 1025, "cursor=" + "A" * 64, "cursor=====", "cursor=eyJhIjoxfQ", "cursor=&page=1",
    "cursor=a&cursor=b",
)  # fmt: skip


async def test_a_parameter_that_makes_no_sense_is_400_and_named(shared: Client) -> None:
    admin = await shared.admin()
    for path, queries in (("/tasks", TASK_QUERIES), ("/users", QUERIES)):
        for query in queries:
            response = await shared.get(f"{path}?{query}", admin)
            assert response.status_code == 400, f"{path}?{query}: {response.text}"
            [error, *_] = refused(response)["errors"]
            assert error["msg"]
            assert len(response.content) < 2000, f"{path}?{query[:20]}"


async def test_no_address_takes_a_parameter_it_does_not_know(shared: Client) -> None:
    admin = await shared.admin()
    task = await shared.task(admin)
    for path in (
        "/auth/me",
        "/tasks/stats",
        f"/tasks/{task['id']}",
        "/users/stats",
        "/users/me/preferences",
        f"/users/{admin.id}",
    ):
        refused(await shared.get(f"{path}?role=ADMIN", admin), field="role")
    refused(
        await shared.post("/auth/login?admin=1", json={"email": admin.email, "password": admin.password}), field="admin"
    )


async def test_a_search_finds_text_and_runs_nothing(shared: Client) -> None:
    user = await shared.user()
    await shared.task(user, title="100%_sure \\ '; DROP TABLE tasks; --")
    await shared.task(user, title="nothing special")
    for q in ("%25", "_", "%5C", "%27%3B%20DROP%20TABLE%20tasks", "100%25_s"):
        tasks = (await shared.get(f"/tasks?q={q}", user)).json()["data"]["tasks"]
        assert [task["title"][:4] for task in tasks] == ["100%"], q
    for q in ("%25%25", "%FF", "%ED%A0%80", "%F0%9F%98%80", ".*", "%E2%80%AE", "(((((", "$1", "%s"):
        response = await shared.get(f"/tasks?q={q}", user)
        assert response.json()["data"]["tasks"] == [], q


PATHS = (
    "//nothing", "//api", "//api/v2/tasks", "//api/v1//tasks", "//API/V1/TASKS", "//%2e%2e/%2e%2e/etc/passwd",
    "//..%2f..%2fetc/passwd", "//%00", "//%ED%A0%80", "//%FF%FE", "//\N{SNOWMAN}", "//a%0d%0aX-Evil:%20yes",
    "//%1b[31m", "//.env", "//.git/config", "//metrics", "//server-status", "//api/v1/tasks/1/2",
    "//api/v1/users/1/tasks", "//health", "//static/../../x", "//health/live/x", "//" + "a/" * 2000, "//%3f",
    "//openapi.yaml", "//favicon.ico",
    "//redoc", "//docs/oauth2-redirect",
)  # fmt: skip


async def test_an_unknown_address_is_404(shared: Client) -> None:
    for path in PATHS:
        response = await shared.get(path)
        assert response.status_code == 404, path
        assert "evil" not in str(response.headers).lower()
        assert len(response.content) < 16_000
        problem_of(response, 404, "not_found")


async def test_an_address_that_is_too_long_is_refused_and_not_repeated(shared: Client) -> None:
    user = await shared.user()
    for path in ("//" + "a" * 33_000, "/tasks/" + "%00" * 11_000, "/tasks?q=" + "x" * 33_000):
        response = await shared.get(path, user)
        problem_of(response, 431, "headers_too_large")


async def test_an_unknown_method_is_405_and_names_the_known_ones(shared: Client) -> None:
    admin = await shared.admin()
    task = await shared.task(admin)
    allowed = {
        "/tasks": {"GET", "POST"},
        f"/tasks/{task['id']}": {"GET", "PUT", "DELETE"},
        "/auth/login": {"POST"},
        "/auth/me": {"GET"},
        "//health/live": {"GET"},
        "//.well-known/jwks.json": {"GET"},
    }
    for path, methods in allowed.items():
        for method in ("PATCH", "TRACE", "PROPFIND", "CONNECT", "OPTIONS", "FOO", "X" * 200):
            response = await shared.call(method, path, admin)
            problem_of(response, 405, "method_not_allowed")
            named = {name.strip() for name in response.headers["allow"].split(",")} - {"HEAD"}
            assert named == methods, f"{method} {path}"
    assert (await shared.get(f"/tasks/{task['id']}", admin)).status_code == 200


NO_TOKENS = (
    b"", b" ", b"Bearer", b"Bearer ", b"bearer", b"Bearer  ", b"Bearer\ta.b.c", b"Bearer a", b"Bearer a.b.c",
    b"Bearer ..", b"Bearer a b", b"Basic dXNlcjpwYXNz", b"Basic", b"Digest username=x", b"Token x", b"a.b.c", b"null",
    b"Bearer null", b"Bearer undefined", b"Bearer [object Object]", b"Bearer \xff\xfe.\xe9.\x80",
    b"Bearer \xed\xa0\x80", b"Bearer " + b"a" * 20_000, b"Bearer " + b"." * 2000, b"Bearer ey.ey.ey",
    b"Bearer eyJhbGciOiJub25lIn0..",
    b"\xe2\x80\x8bBearer x", b"Bearer,Bearer", b"Bearer W10.W10.W10", b"Bearer bnVsbA.bnVsbA.bnVsbA",
)  # fmt: skip


async def test_what_is_no_token_is_401_everywhere(shared: Client) -> None:
    for value in NO_TOKENS:
        for path in ("/auth/me", "/tasks", "/users"):
            response = await shared.http.get(f"/api/v1{path}", headers={b"Authorization": value})
            problem_of(response, 401, "not_signed_in")
            assert response.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_is_read_without_case(shared: Client) -> None:
    user = await shared.user()
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        response = await shared.get("/auth/me", headers={"Authorization": f"{scheme} {user.token}"})
        assert response.json()["data"]["user"]["id"] == user.id


async def test_of_two_authorization_headers_none_lends_rights_to_the_other(shared: Client) -> None:
    user, other = await shared.user(), await shared.user()
    mine, theirs = f"Bearer {user.token}", f"Bearer {other.token}"
    for values in ((mine, "Bearer x"), ("Bearer x", mine), (f"{mine}, {theirs}",), (mine, theirs)):
        headers = [("Authorization", value) for value in values]
        response = await shared.http.get("/api/v1/auth/me", headers=headers)
        if response.status_code == 200:
            assert response.json()["data"]["user"]["id"] == user.id
        else:
            problem_of(response, 401)


TAGS = (
    b"",
    b" ",
    b'"',
    b'"x',
    b"x",
    b"W/",
    b'W/"',
    b",",
    b",,,",
    b'"x", "y',
    b"\xff",
    b'"\xff"',
    b'"' + b"x" * 20_000 + b'"',
    b"'*'",
    b"**",
)


async def test_a_malformed_condition_never_matches(shared: Client) -> None:
    user = await shared.user()
    path = f"/tasks/{(await shared.task(user))['id']}"
    for value in TAGS:
        raw = {b"Authorization": user.headers["Authorization"].encode()}
        response = await shared.http.get(f"/api/v1{path}", headers={**raw, b"If-None-Match": value})
        assert response.status_code == 200, value
        for method in ("PUT", "DELETE"):
            body = {"title": "Lost"} if method == "PUT" else None
            stale = await shared.http.request(method, f"/api/v1{path}", headers={**raw, b"If-Match": value}, json=body)
            problem_of(stale, 412, "stale")
    assert (await shared.get(path, user)).json()["data"]["task"]["title"] == "Write the report"


async def test_an_idempotency_key_that_is_none_is_400_and_writes_nothing(shared: Client) -> None:
    user = await shared.user()
    token = user.headers["Authorization"].encode()
    for key in (b"", b" ", b"\t", b"a b", b"a\tb", b"\xff", b"\xe2\x82\xac", b"k" * 256, b"k" * 20_000, b"\x7f"):
        raw = {b"Authorization": token, b"Idempotency-Key": key}
        response = await shared.http.post("/api/v1/tasks", headers=raw, json={"title": "Write it"})
        refused(response, field="Idempotency-Key")
        body = {"name": "Ada", "email": "key@example.com", "password": "secret 7"}
        refused(await shared.http.post("/api/v1/auth/register", headers=raw, json=body), field="Idempotency-Key")
    assert (await shared.get("/tasks", user)).json()["data"]["pagination"]["totalTasks"] == 0


async def test_headers_of_200_kb_are_431_in_one_or_in_many(shared: Client) -> None:
    user = await shared.user()
    for headers in ({"X-Big": "x" * 200_000}, {f"X-{n}": "x" * 90 for n in range(2000)}, {"Cookie": "a=b; " * 40_000}):
        problem_of(await shared.get("/tasks", user, headers=headers), 431, "headers_too_large")


async def test_only_a_plain_request_id_is_repeated(shared: Client) -> None:
    good = "01JD9-a.b_c:d"
    assert (await shared.get("//health/live", headers={"X-Request-Id": good})).headers["x-request-id"] == good
    for bad in (b"", b"a b", b"a\tb", b"\xff", b"x" * 129, b"a\x1b[31m", b'{"a":1}', b"a\\nb", b"a%0d%0ab"):
        response = await shared.http.get("/health/live", headers={b"X-Request-Id": bad})
        assert response.status_code == 200
        assert response.headers["x-request-id"].isalnum()
        assert response.headers["x-request-id"].encode() != bad


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Original-URL", "X-HTTP-Method-Override"]
)
async def test_headers_of_proxies_change_nothing(shared: Client, name: str) -> None:
    """Nobody stands in front of the service that it believes."""
    user: User = await shared.user()
    task = await shared.task(user)
    for value in ("127.0.0.1", "DELETE", "/api/v1/users", "for=127.0.0.1"):
        response = await shared.get(f"/tasks/{task['id']}", user, headers={name: value})
        assert response.json()["data"]["task"]["id"] == task["id"]
