"""The platform as its users meet it: through its door, in processes of their own."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[3]
LONG_S = 60.0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_base() -> int:
    """A base port whose block of 40 nobody uses; test processes begin their search at different places."""
    first = 12_000 + os.getpid() % 250 * 80
    return next(base for base in range(first, 32_700, 40) if all(is_free(base + offset) for offset in (0, 1, 10, 20)))


@dataclass(frozen=True)
class Door:
    data: Path
    port: int

    def command(self, verb: str, *arguments: str) -> list[str]:
        port = ["--port", str(self.port)] if verb == "up" and "--port" not in arguments else []
        return [sys.executable, "-m", "infra.local", verb, "--data", str(self.data), *port, *arguments]

    def __call__(self, verb: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(verb, *arguments),
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG_S,
        )

    @contextlib.contextmanager
    def open(self, verb: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """The door left open, in a group of its own as from a shell."""
        with subprocess.Popen(
            self.command(verb, *arguments),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return found

    def server(self, name: str) -> dict[str, Any]:
        return next(row for row in self.status()["servers"] if row["name"] == name)

    def sql(self, statement: str, *options: str) -> str:
        done = self("psql", *options, "-XAtc", statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self, path: str = "/health/ready") -> int:
        """The API's status code; 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


def read_until(process: "subprocess.Popen[str]", word: str) -> str:
    """What a door that is left open says, up to the line that holds the word."""
    assert process.stdout
    assert process.stderr
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(f"ended before {word!r}: {seen}{process.stderr.read()}")


def gone(process: psutil.Process) -> bool:
    """Ended; whether its parent, or in a container nobody, has taken note does not matter."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def all_gone(processes: Iterable[psutil.Process]) -> bool:
    return all(gone(process) for process in processes)


def eventually(condition: Callable[[], object], what: str, seconds: float = LONG_S) -> float:
    """How long it took, in seconds, until the condition held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began
