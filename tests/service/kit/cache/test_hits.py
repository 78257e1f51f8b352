"""A hit that is answered where its head was parsed: the same answer, and no rule of the long way forgotten."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.app import wrapped
from service.kit import tracing
from service.kit.cache.hits import Hits
from service.settings import Settings
from tests.service.kit.cache.conftest import here
from tests.support.cached import Fleet, cached_fleet, counted, task
from tests.support.client import Client, User, running
from tests.support.outage import changed
from tests.support.postgres import Postgres
from tests.support.valkey import ValkeyServer
from tests.support.wait import until

_ORIGIN: Final = "http://localhost:3000"
_KEEP_ALIVE_S: Final = 1
# What differs between two answers to one question.
_PASSING: Final = ("date", "x-request-id", "ratelimit")
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
async def fleet(
    postgres: Postgres, template: str, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    postgres.create("hits", template)
    env = {
        "TASKS_VALKEY_URL": valkey.url,
        "TASKS_VALKEY_BUDGET_S": "1",
        "TASKS_LIMITS_ON": "true",
        "TASKS_LIMITS_READ": "3100/900",
        "TASKS_HTTP_KEEP_ALIVE_S": str(_KEEP_ALIVE_S),
        "TASKS_CORS_ORIGINS": _ORIGIN,
    }
    async with cached_fleet(postgres.settings("hits"), tmp_path_factory.mktemp("hits"), [env]) as fleet:
        yield fleet
    postgres.drop("hits")


class Line:
    """A connection, and answers in the order in which they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[str, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(headers) == len(lines), f"a header is there twice: {lines}"
        length = 0 if " 304 " in first else int(headers["content-length"])
        return first, headers, await self.reader.readexactly(length)

    async def ask(self, sent: bytes) -> tuple[str, dict[str, str], bytes]:
        self.writer.write(sent)
        return await self.answer()


@pytest.fixture
async def line(fleet: Fleet) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.servers[0].port)
    yield Line(reader, writer)
    writer.close()
    await writer.wait_closed()


def get(user: User, path: str, **headers: str) -> bytes:
    lines = {"Host": "tasks", "Authorization": f"Bearer {user.token}"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET /api/v1{path} HTTP/1.1\r\n{head}\r\n".encode()


def lasting(answer: tuple[str, dict[str, str], bytes]) -> tuple[str, dict[str, str], bytes]:
    status, headers, body = answer
    # A browser's answer names Origin twice here: the route says so itself, and CORS adds it.
    vary = {"vary": ", ".join(dict.fromkeys(headers["vary"].split(", ")))}
    return status, {**{name: value for name, value in headers.items() if name not in _PASSING}, **vary}, body


async def test_both_ways_give_the_same_answer_to_the_last_header(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    made = await task(fleet.processes[0], user, "Asked both ways")
    for path in ("/tasks", "/tasks?limit=1&page=1", f"/tasks/{made['id']}", "/auth/me"):
        _, first, _ = await line.ask(get(user, path))
        for asked in (
            {},
            {"If_None_Match": first["etag"]},
            {"If_None_Match": f'"other", W/{first["etag"]}'},
            {"If_None_Match": '"other"'},
            {"Origin": _ORIGIN},
            {"Origin": "http://elsewhere.test", "If_None_Match": first["etag"]},
        ):
            hits = await counted(fleet.servers[0], "tasks_cache_hits_total", tier="process")
            short = await line.ask(get(user, path, **asked))
            # A length, be it none, is nothing for the short way.
            long = await line.ask(get(user, path, Content_Length="0", **asked))
            assert lasting(short) == lasting(long), (path, asked)
            assert await counted(fleet.servers[0], "tasks_cache_hits_total", tier="process") == hits + 2
            assert (short[1].keys() ^ long[1].keys()) == set()
            assert short[1]["x-request-id"] != long[1]["x-request-id"]


async def test_what_a_client_sends_of_itself_comes_back(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    await line.ask(get(user, "/auth/me"))
    _, headers, _ = await line.ask(get(user, "/auth/me", X_Request_Id="mine-1"))
    assert headers["x-request-id"] == "mine-1"
    _, headers, _ = await line.ask(get(user, "/auth/me", X_Request_Id='"quoted"'))
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


async def test_pipelined_requests_are_answered_in_their_order(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    await line.ask(get(user, "/tasks"))
    body = json.dumps({"title": "Between two reads"}).encode()
    post = get(user, "/tasks", Content_Type="application/json", Content_Length=str(len(body)))
    post = post.replace(b"GET", b"POST", 1) + body
    line.writer.write(get(user, "/tasks") + post + get(user, "/tasks") + get(user, "/auth/me"))
    answers = [await line.answer() for _ in range(4)]
    assert [status.split()[1] for status, _, _ in answers] == ["200", "201", "200", "200"]
    before, _, after, me = (json.loads(body)["data"] for _, _, body in answers)
    assert before["tasks"] == []
    assert [listed["title"] for listed in after["tasks"]] == ["Between two reads"]
    assert me["user"]["id"] == user.id


async def test_many_unread_answers_do_not_pile_up(fleet: Fleet, line: Line) -> None:
    """A client that asks and does not read waits, as on the long way, and gets them all when it does."""
    user = await fleet.user()
    await task(fleet.processes[0], user, "x" * 100)
    await line.ask(get(user, "/tasks"))
    count = 3000
    line.writer.write(get(user, "/tasks") * count)
    answers = [await line.answer() for _ in range(count)]
    assert {status.split()[1] for status, _, _ in answers} <= {"200", "429"}
    assert len({body for status, _, body in answers if " 200 " in status}) == 1


async def test_a_token_that_died_is_refused_on_the_same_connection(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    other = await fleet.again(user)
    for one in (user, other):
        assert " 200 " in (await line.ask(get(one, "/auth/me")))[0]
    await fleet.processes[0].post("/auth/logout", headers=user.headers)
    assert " 401 " in (await line.ask(get(user, "/auth/me")))[0]
    assert " 200 " in (await line.ask(get(other, "/auth/me")))[0]


async def test_a_hit_is_counted_and_logged_as_any_other_request(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    labels = {"http_route": "/api/v1/tasks", "http_request_method": "GET", "http_response_status_code": "200"}
    name = "http_server_request_duration_seconds_count"
    await line.ask(get(user, "/tasks"))
    before = await counted(fleet.servers[0], name, **labels)
    await line.ask(get(user, "/tasks", X_Request_Id="seen-in-the-log", traceparent=f"00-{TRACE}-b7ad6b7169203331-00"))
    assert await counted(fleet.servers[0], name, **labels) == before + 1

    async def logged() -> bool:
        return "seen-in-the-log" in fleet.servers[0].log.read_text()

    await until(logged, "the line is written")
    lines = fleet.servers[0].log.read_text().splitlines()
    [event] = [json.loads(line) for line in lines if "seen-in-the-log" in line]
    assert event.keys() == {
        "http_route", "http_request_method", "http_response_status_code", "duration_ms", "user_id", "trace_id",
        "request_id", "event", "level", "timestamp",
    }  # fmt: skip
    assert (event["http_route"], event["user_id"], event["trace_id"]) == ("/api/v1/tasks", user.id, TRACE)


async def test_who_knocks_while_refused_is_refused_the_same_way_and_cheaply(fleet: Fleet, line: Line) -> None:
    """The first refusal takes the long way; those behind it, be they for what is not kept, need no application."""
    user, other = await fleet.user(), await fleet.user()
    asked = get(user, "/tasks?q=nothing%20kept&sort=title", Origin=_ORIGIN)
    answer = await line.ask(asked)
    while " 200 " in answer[0]:
        answer = await line.ask(asked)
    limited = await counted(fleet.servers[0], "tasks_limited_requests_total")
    long, short = await line.ask(get(user, "/tasks", Content_Length="0", Origin=_ORIGIN)), await line.ask(asked)
    assert await counted(fleet.servers[0], "tasks_limited_requests_total") == limited + 2
    assert long[0] == short[0] == "HTTP/1.1 429 Too Many Requests"
    assert short[1].keys() == long[1].keys()
    same = set(short[1]) - {*_PASSING, "retry-after"}
    assert {name: short[1][name] for name in same} == {name: long[1][name] for name in same}
    assert json.loads(short[2]) == json.loads(long[2])
    assert " 200 " in (await line.ask(get(user, "/tasks").replace(b"/api/v1/tasks", b"/health/live")))[0]
    assert " 200 " in (await line.ask(get(other, "/auth/me")))[0]
    # Refused reads do not keep who sends them from logging out.
    assert (await fleet.processes[0].post("/auth/logout", headers=user.headers)).status_code == 200
    assert " 401 " in (await line.ask(asked))[0]


async def test_headers_beyond_the_bound_are_refused_for_a_hit_too(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    await line.ask(get(user, "/auth/me"))
    assert " 431 " in (await line.ask(get(user, "/auth/me", X_Long="x" * 33_000)))[0]


async def test_a_connection_lives_while_it_asks_and_ends_when_it_rests(fleet: Fleet, line: Line) -> None:
    user = await fleet.user()
    begun = time.monotonic()

    async def long_enough() -> bool:
        assert " 200 " in (await line.ask(get(user, "/auth/me")))[0]
        return time.monotonic() - begun > 2.5 * _KEEP_ALIVE_S

    await until(long_enough, "hits go on beyond the keep-alive of the first")
    async with asyncio.timeout(10 * _KEEP_ALIVE_S):
        assert await line.reader.read() == b"", "the server closes a silent connection"


@pytest.fixture
async def traced(
    cached_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Client, Hits, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    made = tracing.configured(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "configured", lambda: made)
    async with running(changed(cached_settings, limits={"on": False})) as client:
        await here(client)
        hits = wrapped(client.api, cached_settings).hits
        assert hits is not None
        yield client, hits, exporter


async def test_a_sampled_hit_leaves_a_span_of_the_server_and_one_of_the_cache(
    traced: tuple[Client, Hits, InMemorySpanExporter],
) -> None:
    client, hits, exporter = traced
    user = await client.user()
    await client.get("/auth/me", user)
    headers = {b"authorization": f"Bearer {user.token}".encode()}
    assert hits.answer(b"/api/v1/auth/me", headers, b"") is not None
    assert exporter.get_finished_spans() == ()

    sampled = {**headers, b"traceparent": f"00-{TRACE}-b7ad6b7169203331-01".encode()}
    assert hits.answer(b"/api/v1/auth/me", sampled, b"") is not None

    async def told() -> bool:
        return len(exporter.get_finished_spans()) > 0

    await until(told, "the spans are made")
    cache, server = exporter.get_finished_spans()
    assert (cache.name, server.name) == ("cache", "GET /api/v1/auth/me")
    assert cache.context is not None
    assert server.context is not None
    assert {f"{span.context.trace_id:032x}" for span in (cache, server) if span.context} == {TRACE}
    assert cache.parent is not None
    assert cache.parent.span_id == server.context.span_id
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == "b7ad6b7169203331"
    assert (server.attributes or {})["http.response.status_code"] == 200


async def test_doubts_go_the_long_way(traced: tuple[Client, Hits, InMemorySpanExporter]) -> None:
    client, hits, _ = traced
    user = await client.user()
    known = {b"authorization": f"Bearer {user.token}".encode()}
    assert hits.answer(b"/api/v1/auth/me", known, b"") is None, "nobody has asked yet"
    await client.get("/auth/me", user)
    assert hits.answer(b"/api/v1/auth/me", known, b"") is not None
    assert hits.answer(b"/api/v1/auth/me", {}, b"") is None
    assert hits.answer(b"/api/v1/auth/me", {b"authorization": b"Bearer x"}, b"") is None
    assert hits.answer(b"/api/v1/auth/me", {b"authorization": user.token.encode()}, b"") is None
    assert hits.answer(b"/api/v1/auth/m%65", known, b"") is None
    assert hits.answer(b"/api/v1/auth/me?unknown=1", known, b"") is None
