"""A Valkey server for tests: the real one, which keeps nothing."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.host import Host, this_host
from infra.local.resp import Reply, ask
from tests.support.net import free_port
from tests.support.wait import wait_until


@dataclass
class ValkeyServer:
    """``port`` stays the same over stop and start, what was stored does not."""

    folder: Path
    port: int
    host: Host
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def start(self) -> None:
        listen = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        bounds = ["--save", "", "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]
        command = [*self.host.drop, str(self.host.valkey_server), *listen, *bounds]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, "Valkey answers")

    def answers(self) -> bool:
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def stop(self) -> None:
        """At once, as a failing machine would."""
        if self.process is not None:
            self.process.kill()  # a stopped process hears nothing else
            self.process.wait(30)
            self.process = None

    def ask(self, *words: str) -> Reply:
        """One command on a connection of its own. The value of a generation is no text and cannot be read so."""
        return ask(self.url, "", *words)

    def change(self, *words: str) -> Reply:
        """The same; returns when all who track what it changes have been sent word of it, as after a write."""
        answer = self.ask(*words)
        self.ask("PING")
        return answer

    def names(self, pattern: str) -> list[str]:
        found = self.ask("KEYS", pattern)
        assert isinstance(found, list)
        return sorted(str(name) for name in found)

    def trackers(self) -> list[str]:
        """The ids of the connections that are told when what they asked for changes: one of each process."""
        listed = str(self.ask("CLIENT", "LIST"))
        clients = [dict(part.split("=", 1) for part in line.split()) for line in listed.splitlines() if line]
        return [client["id"] for client in clients if "t" in client["flags"]]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped in its tracks: the kernel still takes connections and bytes for it."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def started() -> Iterator[ValkeyServer]:
    """A server of its own in a folder of its own; both are gone afterwards."""
    host = this_host()
    folder = Path(tempfile.mkdtemp(prefix="tasks-test-valkey-"))
    host.hand_over(folder)
    server = ValkeyServer(folder, free_port(), host)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
