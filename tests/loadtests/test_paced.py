"""The open-loop generator against a tiny server in the same event loop."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import pytest

from loadtests.driver import Report
from loadtests.paced import Pace, Request, drive

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
Answer = Callable[[bytes], Awaitable[bytes]]


def request(path: str, status: int = 200) -> Request:
    return Request(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode(), status)


def pace(*requests: Request, port: int = 1, **changes: Any) -> Pace:
    usual: dict[str, Any] = {"rate_per_s": 400.0, "seconds": 0.25, "seed": 3}
    return Pace("127.0.0.1", port, requests or (request("/"),), **(usual | changes))


def serve_and_drive(made: Callable[[int], Pace], answer: Answer) -> Report:
    """An empty answer closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await answer(await reader.readuntil(b"\r\n\r\n")):
                writer.write(content)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def both() -> Report:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            return await drive(made(server.sockets[0].getsockname()[1]))

    return asyncio.run(both())


async def ok(_head: bytes) -> bytes:
    return OK


def test_arrivals_are_fixed_by_the_seed_whatever_the_server_takes() -> None:
    async def slow(_head: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    counts = [serve_and_drive(lambda port: pace(port=port), answer).answered for answer in (ok, slow)]
    assert counts[0] == counts[1]
    assert 60 < counts[0] < 140
    other = serve_and_drive(lambda port: pace(port=port, seed=4), ok)
    assert other.clean
    assert other.answered != counts[0]


def test_waiting_for_a_connection_is_part_of_the_latency() -> None:
    """A closed loop would report 10 ms here: each request waits for those before it."""

    async def slow(_head: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return OK

    report = serve_and_drive(lambda port: pace(port=port, connections=1), slow)
    assert report.clean
    assert report.max_ms > 200
    assert report.p50_ms > 50


def test_each_request_has_a_right_status_of_its_own() -> None:
    async def by_path(head: bytes) -> bytes:
        return CREATED if b"/new" in head else OK

    mixed = (request("/"), request("/new", 201))
    report = serve_and_drive(lambda port: pace(*mixed, port=port), by_path)
    assert report.clean
    assert set(report.statuses) == {"200", "201"}
    wrong = serve_and_drive(lambda port: pace(request("/new"), port=port), by_path)
    assert wrong.wrong_status == wrong.answered > 0


def test_requests_go_out_in_order_and_begin_again() -> None:
    seen: list[bytes] = []

    async def watch(head: bytes) -> bytes:
        seen.append(head[5:6])
        return OK

    serve_and_drive(lambda port: pace(request("/a"), request("/b"), request("/c"), port=port, connections=1), watch)
    assert b"".join(seen[:7]) == b"abcabca"


def test_a_closed_connection_loses_its_request() -> None:
    count = iter(range(1_000))

    async def sometimes(_head: bytes) -> bytes:
        return b"" if next(count) % 10 == 9 else OK

    report = serve_and_drive(lambda port: pace(port=port), sometimes)
    assert report.lost > 0
    assert not report.clean
    assert report.answered + report.lost == serve_and_drive(lambda port: pace(port=port), ok).answered


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"rate_per_s": 1e6}, "rate_per_s"),
        ({"seconds": 0}, "seconds"),
        ({"connections": 0}, "connections"),
    ],
)
def test_a_pace_without_bounds_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pace(**changes)


def test_other_machines_are_refused() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        Pace("192.0.2.1", 80, [request("/")], rate_per_s=1, seconds=1)
    with pytest.raises(ValueError, match="at least one request"):
        Pace("127.0.0.1", 80, [], rate_per_s=1, seconds=1)


def test_it_is_a_process_that_reads_and_prints_json() -> None:
    made = pace(request("/", 204), port=9)
    assert Pace.from_json(made.to_json()) == Pace(**(asdict(made) | {"requests": [request("/", 204)]}))
    refused = subprocess.run(
        [sys.executable, "-m", "loadtests.paced"],
        input=json.dumps(json.loads(made.to_json()) | {"host": "192.0.2.1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "not a loopback address" in refused.stderr
