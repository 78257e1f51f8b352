"""The driver against a tiny server in the same event loop: what it counts, and what it refuses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from loadtests.driver import Plan, Report, Run, drive

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[bytes], list[bytes]]


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def serve_and_drive(plan: Plan, answer: Answer) -> Report:
    """`answer` gives the pieces to send for a request head; an empty list closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while pieces := answer(await reader.readuntil(b"\r\n\r\n")):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def both() -> Report:
        server = await asyncio.start_server(handle, plan.host, 0)
        async with server:
            return await drive(replace(plan, port=server.sockets[0].getsockname()[1]))

    return asyncio.run(both())


def plan(**changes: object) -> Plan:
    usual: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 1,
        "requests": [request("/")],
        "connections": 4,
        "seconds": 20.0,
        "max_requests": 50,
    }
    return Plan(**(usual | changes))  # type: ignore[arg-type]  # a table of overrides


def test_it_sends_as_many_requests_as_it_was_given_and_counts_each_answer() -> None:
    report = serve_and_drive(plan(), lambda _: [OK])
    assert (report.answered, report.wrong_status, report.lost) == (50, 0, 0)
    assert report.statuses == {"200": 50}
    assert report.body_bytes == 100
    assert report.rate_per_s == pytest.approx(50 / report.elapsed_s)
    assert 0 < report.p50_ms <= report.p95_ms <= report.p99_ms <= report.max_ms
    assert report.clean


def test_it_ends_by_time_and_waits_for_what_is_under_way() -> None:
    report = serve_and_drive(plan(seconds=0.1, max_requests=1_000_000), lambda _: [OK])
    assert report.elapsed_s == 0.1
    assert report.clean
    assert report.rate_per_s * report.elapsed_s <= report.answered


def test_another_status_is_counted_and_spoils_the_round() -> None:
    refused = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
    answers = iter([[OK], [refused]] * 25)
    report = serve_and_drive(plan(), lambda _: next(answers))
    assert (report.answered, report.wrong_status) == (50, 25)
    assert report.statuses == {"200": 25, "429": 25}
    assert not report.clean


def test_the_expected_status_can_be_another_one() -> None:
    created = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    assert serve_and_drive(plan(expect=201), lambda _: [created]).clean


def test_an_answer_may_arrive_in_any_pieces() -> None:
    report = serve_and_drive(plan(), lambda _: [OK[:9], OK[9:30], OK[30:39], OK[39:]])
    assert report.statuses == {"200": 50}


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"],
        [OK, b"and something that nobody asked for"],
    ],
    ids=["closed", "chunked", "no number", "too much"],
)
def test_what_is_no_answer_is_a_lost_request(pieces: list[bytes]) -> None:
    report = serve_and_drive(plan(), lambda _: pieces)
    assert report.lost > 0
    assert not report.clean


def test_nothing_answered_is_never_clean() -> None:
    assert not serve_and_drive(plan(connections=1), lambda _: []).clean


def test_every_request_is_sent_in_an_order_that_the_seed_decides() -> None:
    paths = [f"/{number}" for number in range(10)]

    def order(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        requests = [request(path) for path in paths]
        one = plan(requests=requests, connections=1, max_requests=20, seed=seed)

        def answer(head: bytes) -> list[bytes]:
            seen.append(head.split()[1])
            return [OK]

        serve_and_drive(one, answer)
        return seen

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert sorted(first[:10]) == sorted(path.encode() for path in paths)
    assert first[10:] == first[:10]


@pytest.mark.parametrize(
    "host",
    ["192.168.0.1", "8.8.8.8", "0.0.0.0", "126.255.255.255", "128.0.0.1", "::", "::2", "localhost"],  # noqa: S104
)
def test_other_machines_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"loopback|does not appear"):
        plan(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "::1"])
def test_this_machine_is_accepted(host: str) -> None:
    assert plan(host=host).host == host


@pytest.mark.parametrize(
    "changes",
    [
        {"connections": 0},
        {"connections": 1_025},
        {"seconds": 0},
        {"seconds": 601},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"max_requests": 0},
        {"max_requests": 10_000_001},
        {"requests": []},
    ],
)
def test_a_plan_without_an_end_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be above 0|at least one"):
        plan(**changes)


def test_a_plan_survives_the_way_to_the_driver() -> None:
    wanted = plan(requests=[b"\x00\xff", request("/")], seed=9, expect=201)
    assert Plan.from_json(wanted.to_json()) == wanted
    assert Run(wanted).take(-1.0) in wanted.requests


def test_as_a_process_it_reads_a_plan_and_prints_a_report() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof() and await reader.readline():
            if await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()

    async def both() -> bytes:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            sent = plan(port=server.sockets[0].getsockname()[1])
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "loadtests.driver", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            output, _ = await process.communicate(sent.to_json().encode())
            return output

    report = Report(**json.loads(asyncio.run(both())))
    assert report.answered == 50
    assert report.clean
