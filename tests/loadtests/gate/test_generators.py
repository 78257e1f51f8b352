"""Both generators as the processes they are, against a server that speaks the API."""

import json
import subprocess
import time
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from loadtests.gate.evidence import UNJUDGED, Asked
from loadtests.gate.generators import Generator
from loadtests.gate.machine import Cores
from loadtests.gate.run import generating
from loadtests.gate.selftest import people
from loadtests.servers import ROOT, ServerError, answers, free_port, launched, python_module
from tests.support.wait import wait_until

ASKED = Asked("1", users=20, think_s=0.2, p95_ms=50, error_rate=0.005, min_samples=1)
ALL_CORES = Cores(Cores.of_this_machine().servers, Cores.of_this_machine().servers)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    chosen = free_port()
    stub = launched(
        "stub",
        python_module("loadtests.gate.stub", str(chosen), "0", "0"),
        port=chosen,
        log=tmp_path / "stub.log",
        ready=lambda: answers(chosen, "/", 200),
    )
    with stub as server:
        server.wait_ready()
        yield chosen


@pytest.fixture
def both(port: int, tmp_path: Path) -> Iterator[tuple[Generator, Generator]]:
    with generating(ASKED, "127.0.0.1", port, 40.0, people(tmp_path), tmp_path, ALL_CORES) as pair:
        yield pair


def test_everything_that_is_sent_is_answered_and_told(both: tuple[Generator, Generator]) -> None:
    crowd, probe = both
    crowd.say({"users": 20, "rate": 100})
    wait_until(lambda: crowd.answered > 150 and probe.answered > 60, "answers to both")
    for generator in (crowd, probe):
        generator.check()
        generator.finish()
        assert (generator.unaccounted, generator.lost, generator.oldest) == (0, 0, None)
        assert generator.sent == len(generator.samples)
        assert all(right for *_, right in generator.samples)
    assert {kind for _, kind, _, _ in crowd.samples} >= {"list", "create", "register"}
    assert not UNJUDGED & {kind for _, kind, _, _ in probe.samples}
    now = time.monotonic()
    assert all(now - 120 < began <= now for began, *_ in (*crowd.samples, *probe.samples))


class Tagging(BaseHTTPRequestHandler):
    """Answers with an entity tag, and 304 to who has it; keeps the heads of all requests."""

    protocol_version = "HTTP/1.1"
    heads: ClassVar[list[Message]] = []

    def do_GET(self) -> None:
        self.heads.append(self.headers)
        known = self.headers.get("If-None-Match") == '"1"'
        body = b"" if known else json.dumps({"data": {"tasks": [{"id": 1}]}}).encode()
        self.send_response(304 if known else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_people_ask_as_browsers_do_each_from_an_address_of_their_own(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", free_port()), Tagging) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with generating(ASKED, "127.0.0.1", server.server_port, 0.01, people(tmp_path), tmp_path, ALL_CORES) as pair:
            pair[0].say({"users": 20, "rate": 1_000})
            wait_until(lambda: len(Tagging.heads) > 200, "requests")
            pair[0].finish()
        server.shutdown()
    by_person: dict[str, list[Message]] = {}
    for head in Tagging.heads:
        by_person.setdefault(head["X-Forwarded-For"], []).append(head)
    assert 15 <= len(by_person) <= 20
    for heads in by_person.values():
        assert len({head["Authorization"] for head in heads}) == 1
        assert heads[0]["If-None-Match"] is None
    assert sum(head["If-None-Match"] == '"1"' for head in Tagging.heads) > 50


def test_who_is_sent_home_leaves_nothing_unaccounted(both: tuple[Generator, Generator]) -> None:
    crowd, _ = both
    for users in (200, 20, 200, 20):
        crowd.say({"users": users, "rate": 10_000})
        seen = crowd.answered
        wait_until(lambda seen=seen: crowd.answered > seen + 100, "answers")  # type: ignore[misc]  # bound on purpose
    crowd.finish()
    assert crowd.unaccounted == 0
    assert crowd.lost < 100


def test_a_window_holds_what_began_within_it(both: tuple[Generator, Generator]) -> None:
    _, probe = both
    wait_until(lambda: probe.answered > 40, "answers")
    start, end = sorted(sample[0] for sample in probe.samples)[10:31:20]
    assert {start <= sample[0] < end for sample in probe.window(start, end)} == {True}
    wait_until(lambda: probe.seen(end), "the end of what began before")


def test_a_generator_that_dies_is_said(both: tuple[Generator, Generator]) -> None:
    crowd, _ = both
    crowd.process.kill()
    crowd.process.wait()
    with pytest.raises(ServerError, match="the crowd ended with -9"):
        crowd.check()


@pytest.mark.parametrize("more", [[], ["--tags", "write"], ["--processes", "2"]], ids=["plain", "tags", "processes"])
def test_locust_runs_the_same_people_from_its_own_command_line(port: int, tmp_path: Path, more: list[str]) -> None:
    command = [
        *python_module("locust", "-f", "loadtests/locustfile.py", "--host", f"http://127.0.0.1:{port}", *more),
        *("--headless", "--users", "120", "--spawn-rate", "500", "--run-time", "2s", "--think", "0.5"),
        *("--people", str(people(tmp_path)), "--json-file", str(tmp_path / "stats")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    counts = {row["name"]: row["num_requests"] for row in json.loads((tmp_path / "stats.json").read_text())}
    assert counts["/api/v1/tasks"] > 0
    if "--tags" in more:
        assert not any(name.startswith("/api/v1/users") for name in counts), "an administrator has nothing to write"
    assert not any(name.removeprefix("/api/v1/tasks/").isdigit() for name in counts), "names are templates"
