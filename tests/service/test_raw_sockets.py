"""What no HTTP client sends: refused without a second request, without 5xx, and without an effect on anybody else."""

import contextlib
import itertools
import json
import socket

import httpx2
import psutil
import pytest

from tests.support.raw import connected, exchange, received, statuses
from tests.support.server import Server
from tests.support.wait import wait_until

_NUMBERS = itertools.count(1)

LIVE = b"GET /health/live HTTP/1.1\r\nHost: tasks\r\n"
CLOSE = b"Connection: close\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: tasks\r\nContent-Type: application/json\r\n"


def requests_after(server: Server) -> list[dict[str, object]]:
    """The request events of everything that was sent before this call, and of one request that marks the end."""
    marker = f"marker-{next(_NUMBERS)}"
    httpx2.get(f"{server.url}/health/live", headers={"X-Request-Id": marker})
    wait_until(lambda: marker in server.log.read_text(), "the marker is logged")
    lines = map(json.loads, server.log.read_text().splitlines())
    events = [line for line in lines if line["event"] == "request"]
    return events[: next(place for place, event in enumerate(events) if event["request_id"] == marker)]


def smuggled(name: bytes) -> bytes:
    """A request that must never be taken for one; its id would be in the log."""
    return b"GET /smuggled HTTP/1.1\r\nHost: tasks\r\nX-Request-Id: smuggled-" + name + b"\r\n" + CLOSE + b"\r\n"


# Each is one malformed request with a second one hidden behind it.
SMUGGLING = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 0, 2\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "length with a space": POST + b"Content-Length: 1 2\r\n\r\n{}",
    "length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding after chunks": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "tab before the name": POST + b"\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "folded header": POST + b"X-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "bare LF": b"GET /health/live HTTP/1.1\nHost: tasks\n\n",
    "bare LF after a header": LIVE + b"X-A: b\nX-C: d\r\n\r\n",
    "bare CR in a header": LIVE + b"X-A: b\rX-C: d\r\n\r\n",
    "NUL in a header": LIVE + b"X-A: b\x00c\r\n\r\n",
    "no name": LIVE + b": value\r\n\r\n",
    "no colon": LIVE + b"value\r\n\r\n",
    "chunk size beyond 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    "negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk without an end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n",
    "LF after a chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "no request line": b"\x00\x01\x02\x03\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xab" * 200,
    "HTTP/0.9": b"GET /health/live\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"GET /health/live HTTP/3.7\r\nHost: tasks\r\n\r\n",
    "lower-case method": b"get /health/live HTTP/1.1\r\nHost: tasks\r\n\r\n",
    "space in the path": b"GET /health/live /x HTTP/1.1\r\nHost: tasks\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: tasks\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_malformed_request_is_400_and_hides_no_second_one(server: Server, name: str) -> None:
    hidden = name.replace(" ", "-").encode()
    answer = exchange(server.port, SMUGGLING[name] + smuggled(hidden))
    assert b"content-type: application/problem+json" in answer
    assert set(statuses(answer)) <= {400, 401, 413}, answer
    assert 400 in statuses(answer) or 413 in statuses(answer)
    assert not any(event["request_id"] == f"smuggled-{hidden.decode()}" for event in requests_after(server))


def test_a_body_is_not_read_as_the_next_request(server: Server) -> None:
    """With a length, with chunks, and behind an answer that did not wait for the body."""
    hidden = smuggled(b"body")
    size = str(len(hidden)).encode()
    chunk = b"%x\r\n" % len(hidden) + hidden + b"\r\n0\r\n\r\n"
    last = LIVE + CLOSE + b"\r\n"
    too_long = hidden + b"x" * 70_000
    for request, expected in (
        (POST + b"Content-Length: " + size + b"\r\n\r\n" + hidden, [400, 200]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk, [400, 200]),
        (LIVE + b"Content-Length: " + size + b"\r\n\r\n" + hidden, [200, 200]),
        (b"GET /nothing HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, [404, 200]),
        (POST + b"Content-Length: %d\r\n\r\n" % len(too_long) + too_long, [413, 200]),
    ):
        assert statuses(exchange(server.port, request + last)) == expected
    assert not any(str(event["request_id"]).startswith("smuggled-body") for event in requests_after(server))


def test_pipelined_requests_are_answered_each_and_in_their_order(server: Server) -> None:
    paths = [b"/health/live", b"/nothing", b"/api/v1/auth/me", b"/health/live"]
    requests = [
        b"GET " + path + b" HTTP/1.1\r\nHost: t\r\nX-Request-Id: pipe-%d\r\n" % n for n, path in enumerate(paths)
    ]
    answer = exchange(server.port, b"\r\n".join(requests) + CLOSE + b"\r\n")
    assert statuses(answer) == [200, 404, 401, 200]
    logged = [event["request_id"] for event in requests_after(server) if str(event["request_id"]).startswith("pipe-")]
    assert logged == ["pipe-0", "pipe-1", "pipe-2", "pipe-3"]


def test_a_request_in_single_bytes_is_one_request(server: Server) -> None:
    request = LIVE + CLOSE + b"\r\n"
    assert statuses(exchange(server.port, *(request[place : place + 1] for place in range(len(request))))) == [200]


def test_http_1_0_is_answered_and_closed(server: Server) -> None:
    assert statuses(exchange(server.port, b"GET /health/live HTTP/1.0\r\n\r\n" + smuggled(b"old"))) == [200]


def test_unusual_but_valid_requests_are_answered_once(server: Server) -> None:
    cases = (
        (LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", {200}),
        (LIVE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", {200}),
        (b"GET http://elsewhere.example/health/live HTTP/1.1\r\nHost: tasks\r\n", {200, 400}),
        (b"GET http://elsewhere.example HTTP/1.1\r\nHost: tasks\r\n", {200, 400}),
        (b"OPTIONS * HTTP/1.1\r\nHost: tasks\r\n", {400, 404, 405}),
        (b"TRACE /health/live HTTP/1.1\r\nHost: tasks\r\nCookie: secret=canary\r\n", {405}),
        (b"GET /health/live HTTP/1.1\r\n", {200, 400}),
        (b"GET /health/live?a=b#c HTTP/1.1\r\nHost: tasks\r\n", {200, 400}),
        (b"GET /a\r\nX-Y: z HTTP/1.1\r\nHost: tasks\r\n", {400, 404}),
        (b"GET //health/live HTTP/1.1\r\nHost: tasks\r\n", {400, 404}),
    )
    for request, expected in cases:
        answer = exchange(server.port, request + CLOSE + b"\r\n")
        assert len(statuses(answer)) == 1, request
        assert set(statuses(answer)) <= expected, request
        assert b"canary" not in answer


def test_connect_opens_no_tunnel(server: Server) -> None:
    answer = exchange(
        server.port, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: t\r\n" + CLOSE + b"\r\n", smuggled(b"tunnel")
    )
    assert statuses(answer)[0] in (400, 404, 405)
    assert not any(event["request_id"] == "smuggled-tunnel" for event in requests_after(server))


def test_headers_of_200_kb_are_431(server: Server) -> None:
    one = LIVE + b"X-Big: " + b"x" * 200_000 + b"\r\n"
    many = LIVE + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 90) for n in range(2000))
    target = b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: tasks\r\n"
    for request in (one, many, target):
        answer = exchange(server.port, request + CLOSE + b"\r\n")
        assert statuses(answer) == [431]
    far_too_long = b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: tasks\r\n"
    assert set(statuses(exchange(server.port, far_too_long + CLOSE + b"\r\n"))) <= {400, 431}


def test_endless_headers_cost_the_client_its_connection_and_the_server_nothing(server: Server) -> None:
    """In one line, in many, as trailers of an answered request, as chunk extensions, or as empty lines before all."""
    chunked = b"GET /nothing HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    for start, more in (
        (LIVE + b"X-Big: ", b"x" * 65_536),
        (LIVE, b"X: y\r\n" * 10_000),
        (chunked + b"0\r\n", b"X: y\r\n" * 10_000),
        (chunked + b"0\r\nX-Big: ", b"x" * 65_536),
        (chunked + b"1;", b"x" * 65_536),
        (b"", b"\r\n" * 30_000),
    ):
        with connected(server.port) as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(start + more * 600)
    assert process.memory_info().rss - before < 30 * 1024 * 1024


def test_a_trailer_does_not_become_a_header(server: Server) -> None:
    marker = b"X-Request-Id: from-the-trailer\r\nContent-Type: application/json\r\n"
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n"
    answer = exchange(server.port, head + b"2\r\n{}\r\n0\r\n" + marker + b"\r\n")
    assert statuses(answer) == [415]
    assert b"from-the-trailer" not in answer


def test_a_body_that_does_not_come_is_408_and_no_failure_of_the_server(server: Server) -> None:
    """A client that announces more than it sends, or sends it a byte at a time, must not look like a broken service."""
    for start in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
        answer = exchange(server.port, POST + start)
        assert statuses(answer) == [408]
        assert b"application/problem+json" in answer
    assert not any(int(str(event["http_response_status_code"])) >= 500 for event in requests_after(server))


def test_a_client_that_leaves_in_its_body_is_no_failure_of_the_server(server: Server) -> None:
    for _ in range(5):
        with connected(server.port) as connection:
            connection.sendall(POST + b"X-Request-Id: leaver\r\nContent-Length: 100\r\n\r\n{")
    for _ in range(5):
        with connected(server.port) as connection:
            connection.sendall(LIVE)
    leavers = [event for event in requests_after(server) if event["request_id"] == "leaver"]
    assert all(int(str(event["http_response_status_code"])) < 500 for event in leavers)


def test_an_idle_connection_is_closed(server: Server) -> None:
    with connected(server.port) as connection:
        assert statuses(received(connection, LIVE + b"\r\n")) == [200]


def test_slow_headers_are_cut_off_and_hold_up_nobody(server: Server) -> None:
    with contextlib.ExitStack() as open_connections:
        for _ in range(300):
            slow: socket.socket = open_connections.enter_context(connected(server.port))
            slow.sendall(LIVE + b"X-Slow: ")
        for _ in range(20):
            assert httpx2.get(f"{server.url}/health/live", timeout=5).status_code == 200
        process = psutil.Process(server.pid)
        wait_until(lambda: len(process.net_connections()) < 50, "the server closed them, not their clients", 10)


def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    for start in (b"", b"G", b"\r\n"):
        with connected(server.port) as connection:
            assert received(connection, start) == b""


def test_a_trickle_of_empty_lines_keeps_no_connection_open(server: Server) -> None:
    with connected(server.port) as connection:
        connection.sendall(LIVE + b"\r\n")
        assert statuses(connection.recv(4096)) == [200]
        connection.settimeout(0.2)

        def closed() -> bool:
            try:
                connection.sendall(b"\r\n")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(closed, "the server lost its patience", 10)
