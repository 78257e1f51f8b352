"""From phase current to phase 1 on the same data: under clients that go on working, interrupted, and never back."""

import contextlib
import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.upgrade import check_direction
from roadmap.phases import load
from tests.infra.local.door import Door, eventually, read_until

ROADMAP = load()
GENEROUS_S = 10.0  # the contract says 3; a busy machine starts an interpreter slowly


@dataclass(eq=False)
class Person(threading.Thread):
    """A client that signs in, writes and reads back, without a pause, until told to stop."""

    port: int
    email: str = "person@example.com"
    acknowledged: list[int] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)  # when, and what
    wrong: list[str] = field(default_factory=list)
    token: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._told = threading.Event()
        self._credentials = {"email": self.email, "password": "Correct-horse-7"}
        self._ask(201, "POST", "/auth/register", {"name": "Person", **self._credentials})

    def run(self) -> None:
        for turn in range(1_000_000):
            if self._told.is_set():
                return
            try:
                self._turn(turn)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append((time.monotonic(), repr(error)))
            time.sleep(0.03)

    def stop(self) -> None:
        self._told.set()
        self.join()

    def _turn(self, turn: int) -> None:
        if turn % 20 == 0:
            self.token = self._ask(200, "POST", "/auth/login", self._credentials)["token"]
        title = f"Task of turn {turn}"
        task = self._ask(201, "POST", "/tasks", {"title": title})["task"]
        self.acknowledged.append(task["id"])
        again = self._ask(200, "GET", f"/tasks/{task['id']}")["task"]
        if again["title"] != title:
            self.wrong.append(f"{title}: {again}")

    def _ask(self, expected: int, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != expected:
                raise ConnectionError(f"{method} {path}: {answer.status} {text[:100]!r}")
            found: dict[str, Any] = json.loads(text)["data"]
            return found


@contextlib.contextmanager
def at_work(port: int) -> Iterator[Person]:
    person = Person(port)
    person.start()
    try:
        yield person
    finally:
        person.stop()


def test_a_running_platform_is_upgraded_under_its_clients(door: Door) -> None:
    with door.open("up", "--phase", "current") as owner:
        read_until(owner, "stop it:")
        postgres = door.server("postgres")["pid"]
        with at_work(door.port) as person:
            eventually(lambda: len(person.acknowledged) > 5, "rows are written")
            for number, code, moment in (
                (signal.SIGINT, 130, "valkey, cache"),
                (signal.SIGKILL, -9, "goes on serving"),
            ):
                with door.open("up", "--phase", "1") as first:
                    read_until(first, moment)
                    first.send_signal(number)
                    assert first.wait(30) == code
                    assert first.stderr
                    assert ("the platform runs on" in first.stderr.read()) == (code == 130)
            assert (door.status()["phase"], person.failures) == ("current", [])

            done = door("up", "--phase", "1", "--detach")
            assert done.returncode == 0, done.stderr
            written = len(person.acknowledged)
            eventually(lambda: len(person.acknowledged) > written + 5, "rows are written again")

        assert person.wrong == []
        stored = set(door.sql("SELECT id FROM tasks").split())
        assert stored.issuperset(map(str, person.acknowledged))
        assert (
            door.sql(
                "SELECT count(*) > 2 AND bool_and(indisvalid) FROM pg_index WHERE indrelid::regclass::text "
                "IN ('tasks', 'users') AND NOT indisprimary"
            )
            == "t"
        )
        moments = [moment for moment, _ in person.failures]
        away = max(moments) - min(moments)
        assert away < GENEROUS_S, person.failures
        print(f"upgrade: {len(person.acknowledged)} writes, {len(moments)} failed within {away:.2f} s")  # noqa: T201  # for who reads the run

        status = door.status()
        assert (status["phase"], {row["name"]: row["state"] for row in status["servers"]}) == (
            "1",
            {"postgres": "running", "valkey": "running", "api": "running"},
        )
        assert door.server("postgres")["pid"] == postgres
        assert "done in" in done.stdout
        assert "valkey://" in done.stdout
        again, back = door("up", "--phase", "1"), door("up", "--phase", "current")
        assert (again.returncode, back.returncode) == (4, 2)
        assert "already running" in again.stderr
        assert "is at phase 1 (schema head) and is not taken back to phase current" in back.stderr

        # Who brought it up still owns it, with the servers that came later.
        owner.send_signal(signal.SIGINT)
        assert owner.wait(30) == 0
    assert door("status").returncode == 3
    assert door("up", "--phase", "current").returncode == 2


@pytest.mark.parametrize(("at", "to"), [("1", "current"), ("4", "1")])
def test_no_phase_is_undone(tmp_path: Path, at: str, to: str) -> None:
    with pytest.raises(PlatformError, match=f"is at phase {at} .* run `up --phase {at}`") as refused:
        check_direction(ROADMAP, at, ROADMAP.phase(to), Folder(tmp_path))
    assert refused.value.code == Exit.USAGE
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("at", "to"), [("current", "current"), ("current", "1"), ("1", "3")])
def test_staying_and_going_up_are_fine(tmp_path: Path, at: str, to: str) -> None:
    check_direction(ROADMAP, at, ROADMAP.phase(to), Folder(tmp_path))
