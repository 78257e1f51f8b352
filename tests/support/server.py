"""The service as operators run it: ``python -m service serve`` in a process of its own, with real sockets."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from service.settings import Database
from tests.support.net import free_port
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]

# A hash that costs a test nothing; how the real one is made has a test of its own.
_CHEAP = {"TASKS_PASSWORDS_MEMORY_KIB": "8", "TASKS_PASSWORDS_PASSES": "1", "TASKS_LIMITS_ON": "false"}
_LONGEST_END_S = 20.0
# Compiled once a test run and not at each start, even where the sources may not hold bytecode.
_BYTECODE = tempfile.TemporaryDirectory(prefix="tasks-test-bytecode-")


def environment(database: Database, tokens: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the tests without TASKS_* variables, and with those of a cheap service; ``env`` wins."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
    url = {"TASKS_DATABASE_URL": database.url.get_secret_value(), "TASKS_TOKENS_FOLDER": str(tokens)}
    bytecode = {"PYTHONPYCACHEPREFIX": _BYTECODE.name, "PYTHONDONTWRITEBYTECODE": ""}
    return {**inherited, **bytecode, **_CHEAP, **url, **(env or {})}


def door(*arguments: str, env: Mapping[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One finished ``python -m service ...``, for commands that end by themselves."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT, env=dict(env), input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@dataclass
class Server:
    """``folder`` takes the keys (``tokens``) and what the process writes; both ports stay over stop and start."""

    database: Database
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.port = free_port(2)
        self.metrics_port = self.port + 1
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        self.log = self.folder / f"stdout-{self.port}.log"
        self.errors = self.folder / f"stderr-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the service was not started"
        return self.process.pid

    def start(self) -> None:
        """Returns when it is ready; fails with its last words when it ends before that."""
        ports = {"TASKS_HTTP_PORT": str(self.port), "TASKS_METRICS_PORT": str(self.metrics_port)}
        env = environment(self.database, self.folder / "tokens", {**ports, **self.env})
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"], cwd=ROOT, env=env, stdout=log, stderr=errors
            )
        wait_until(self._is_ready, "the service is ready")

    def stop(self) -> int:
        """SIGTERM, as a platform ends it; its exit code. A process that stays is killed and fails the test."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_LONGEST_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"alive {_LONGEST_END_S:g} s after SIGTERM\n{self.output()}") from None

    def output(self) -> str:
        """All that it wrote so far, to stdout and to stderr."""
        return self.log.read_text(errors="replace") + self.errors.read_text(errors="replace")

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with {self.process.returncode}\n{self.output()}")
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def serving(database: Database, folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A running service; it is stopped afterwards whatever happens."""
    server = Server(database, folder, env or {})
    server.start()
    try:
        yield server
    finally:
        server.stop()
