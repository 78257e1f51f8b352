"""The log of the real process: one JSON event a request, and nothing in it that a client sent."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from tests.support.problems import problem_of
from tests.support.raw import exchange
from tests.support.server import Server
from tests.support.wait import wait_until

_NUMBERS = itertools.count(1)
PERSON = {"name": "Ada Lovelace", "password": "correct horse 7"}

MEMBERS = {
    "event", "level", "timestamp", "http_route", "http_request_method", "http_response_status_code", "duration_ms",
    "user_id", "trace_id", "request_id",
}  # fmt: skip


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=20) as http:
        yield http


@pytest.fixture
def token(http: httpx2.Client) -> str:
    body = {**PERSON, "email": f"user{next(_NUMBERS)}@example.com"}
    token: str = http.post("/api/v1/auth/register", json=body).json()["data"]["token"]
    return token


@pytest.fixture
def sql(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.database.url.get_secret_value(), autocommit=True) as connection:
        yield connection


def events(server: Server, request_id: str, count: int = 1) -> list[dict[str, Any]]:
    """The events with this request id, when there are so many."""

    def found() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in server.log.read_bytes().splitlines()]
        return [line for line in lines if line.get("request_id") == request_id]

    wait_until(lambda: len(found()) >= count, f"{request_id} is logged {count} times")
    return found()


def test_every_request_is_one_event_with_all_members(server: Server, http: httpx2.Client, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    me = http.get("/api/v1/auth/me", headers=bearer).json()["data"]["user"]["id"]
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    cases: list[tuple[str, str, dict[str, Any], int, str, int | None]] = [
        ("GET", "/api/v1/tasks?limit=5", {"headers": bearer}, 200, "/api/v1/tasks", me),
        ("POST", "/api/v1/tasks", {"headers": bearer, "json": {"title": "Write it"}}, 201, "/api/v1/tasks", me),
        ("GET", "/api/v1/tasks/999999", {"headers": bearer}, 404, "/api/v1/tasks/{id}", me),
        ("HEAD", "/api/v1/tasks/stats", {"headers": bearer}, 200, "/api/v1/tasks/stats", me),
        ("GET", "/api/v1/users", {"headers": bearer}, 403, "/api/v1/users", me),
        ("PUT", "/api/v1/tasks/1", {"headers": bearer, "content": b"x"}, 415, "/api/v1/tasks/{id}", me),
        ("GET", "/api/v1/tasks", {}, 401, "/api/v1/tasks", None),
        ("GET", "/nothing/here", {}, 404, "__unmatched__", None),
        ("PATCH", "/api/v1/tasks", {}, 405, "/api/v1/tasks", None),
        ("GET", "/health/live", {"headers": {"X-Big": "x" * 33_000}}, 431, "__unmatched__", None),
    ]
    for number, (method, path, more, status, route, user_id) in enumerate(cases):
        name = f"members-{number}"
        traceparent = f"00-{trace}-00f067aa0ba902b7-01"
        headers = {**more.pop("headers", {}), "X-Request-Id": name, "traceparent": traceparent}
        response = http.request(method, path, headers=headers, **more)
        assert response.status_code == status, path
        assert response.headers["x-request-id"] == name
        [event] = events(server, name)
        assert MEMBERS <= set(event) <= {*MEMBERS, "code"}, event
        assert event["event"] == "request"
        assert event["http_route"] == route
        assert (event["http_request_method"], event["http_response_status_code"]) == (method, status)
        assert (event["trace_id"], event["user_id"]) == (trace, user_id)
        assert 0 < event["duration_ms"] < 60_000
        assert ("code" in event) == (status >= 400)


def test_what_a_client_sends_is_never_written(server: Server, http: httpx2.Client, sql: psycopg.Connection) -> None:
    """In each place where a client can put something, on good requests and bad ones."""
    canary = "canary7"
    email = f"{canary}@{canary}.example.com"
    person = {"name": f"{canary} Lovelace", "email": email, "password": f"{canary} secret"}
    registered = http.post("/api/v1/auth/register", json=person)
    token = registered.json()["data"]["token"]
    bearer = {"Authorization": f"Bearer {token}", "Cookie": f"session={canary}", "X-Custom": canary, "Origin": canary}
    task = {"title": f"{canary} title", "description": f"{canary} description"}
    taken = http.post("/api/v1/auth/register", json=person)
    assert (registered.status_code, taken.status_code) == (201, 400)
    http.post("/api/v1/auth/login", json={"email": email, "password": f"{canary} wrong 7"})
    http.post("/api/v1/auth/login", json={"email": email, "password": person["password"]})
    http.post(
        "/api/v1/auth/login", content=f'{{"email": "{canary}'.encode(), headers={"Content-Type": "application/json"}
    )
    http.post("/api/v1/auth/login", json={canary: canary})
    made = http.post("/api/v1/tasks", json=task, headers={**bearer, "Idempotency-Key": canary})
    path = made.headers["location"]
    http.put(path, json=task, headers={**bearer, "If-Match": f'"{canary}"'})
    http.get(f"/api/v1/tasks?q={canary}&{canary}=1", headers={**bearer, "If-None-Match": f'"{canary}"'})
    http.get(f"/api/v1/tasks?q={canary}", headers=bearer)
    http.get(f"/api/v1/tasks?cursor={canary}", headers=bearer)
    http.get(f"/api/v1/tasks/{canary}", headers=bearer)
    http.get(f"/{canary}/%0a{canary}", headers=bearer)
    http.get("/api/v1/tasks", headers={"Authorization": f"Bearer {canary}.{canary}.{canary}"})
    http.get("/api/v1/tasks", headers={"Authorization": f"Basic {canary}"})
    http.get(
        "/health/live", headers={"traceparent": canary, "X-Request-Id": f"{canary} {canary}", "User-Agent": canary}
    )
    http.request(canary.upper(), "/health/live")
    exchange(server.port, f"GET /{canary} HTTP/9.9\r\n{canary}\r\n\r\n".encode())
    exchange(server.port, f"POST /{canary} HTTP/1.1\r\nContent-Length: {canary}\r\n\r\n{canary}".encode())
    # Failures of the database, whose messages hold the row (DETAIL: Failing row contains ...).
    sql.execute("ALTER TABLE tasks ADD CONSTRAINT never CHECK (title NOT LIKE 'canary7 new%')")
    sql.execute("ALTER TABLE users ADD CONSTRAINT never CHECK (name NOT LIKE 'canary7 new%')")
    newer = {**person, "name": f"{canary} new", "email": f"new-{email}"}
    failed = [
        http.post("/api/v1/tasks", json={**task, "title": f"{canary} new"}, headers=bearer),
        http.put(path, json={"title": f"{canary} new"}, headers=bearer),
        http.post("/api/v1/auth/register", json=newer),
    ]
    sql.execute("ALTER TABLE tasks RENAME COLUMN title TO gone")
    failed += [
        http.get(f"/api/v1/tasks?q={canary}", headers=bearer),
        http.post("/api/v1/tasks", json=task, headers=bearer),
    ]
    sql.execute("ALTER TABLE tasks RENAME COLUMN gone TO title")
    for response in failed:
        body = problem_of(response, 500, "internal_error")
        assert canary not in response.text, body
    http.post("/api/v1/auth/logout", headers={**bearer, "X-Request-Id": "the-last"})
    events(server, "the-last")
    output = server.output()
    for secret in (canary, token, token.split(".")[2], token.split(".")[1]):
        assert secret.lower() not in output.lower()


def test_every_line_is_json_and_stderr_is_empty(server: Server) -> None:
    for line in server.log.read_bytes().splitlines():
        event = json.loads(line)
        assert {"event", "level", "timestamp"} <= set(event)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event["timestamp"])
    assert server.errors.read_text() == ""


def test_a_failure_shows_a_trace_id_that_the_log_knows_and_nothing_else(
    server: Server, http: httpx2.Client, token: str, sql: psycopg.Connection
) -> None:
    sql.execute("ALTER TABLE tasks RENAME TO gone")
    try:
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "broken"}
        response = http.get("/api/v1/tasks", headers=headers)
    finally:
        sql.execute("ALTER TABLE gone RENAME TO tasks")
    body = problem_of(response, 500, "internal_error")
    assert body["message"] == "Something went wrong on our side"
    for word in ("psycopg", "relation", "UndefinedTable", "Traceback", ".py", "SELECT", "postgres", "service/"):
        assert word not in response.text + str(response.headers)
    [event] = events(server, "broken")
    assert event["trace_id"] == body["traceId"]
    assert (event["level"], event["code"]) == ("error", "internal_error")
    assert event["exception"][0]["type"] == "psycopg.errors.UndefinedTable"
    assert event["exception"][0]["sqlstate"] == "42P01"
    assert any("repository.py" in frame for frame in event["exception"][0]["stack"])


def test_no_line_can_be_forged(server: Server, http: httpx2.Client) -> None:
    forged = '{"event":"request","forged":true}'
    for encoded in ("%0d%0a", "%0a", "%1b%5b2J", "%c2%85", "%e2%80%a8", "%00"):
        http.get(f"/x{encoded}{forged}{encoded}")
        http.get(f"/api/v1/tasks/1{encoded}{forged}{encoded}")
        http.get(f"/api/v1/tasks?q={encoded}{forged}&{encoded}={forged}")
    for raw in (b"\x1b[2J", b"\xc2\x85", b"\xe2\x80\xa8", b"\\n"):
        value = raw + forged.encode()
        http.get("/health/live", headers={b"X-Request-Id": value, b"traceparent": value, b"User-Agent": value})
        http.post("/api/v1/tasks", headers={b"Idempotency-Key": value, b"Authorization": b"Bearer " + value})
    hidden = f"\r\n{forged}\r\n".encode()
    exchange(server.port, b"GET /x" + hidden + b" HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    http.get("/health/live", headers={"X-Request-Id": "after-the-forger"})
    events(server, "after-the-forger")
    text = server.log.read_bytes()
    assert b"\x1b" not in text
    assert b"forged" not in text
    assert all(line.startswith(b"{") for line in text.splitlines())


def test_the_metrics_have_a_port_of_their_own(server: Server, http: httpx2.Client) -> None:
    shown = httpx2.get(server.metrics_url)
    assert shown.status_code == 200
    assert "http_server_request_duration_seconds_bucket" in shown.text
    for path in ("/metrics", "/api/v1/metrics", "/metrics/"):
        problem_of(http.get(path), 404)
