"""A PostgreSQL server for tests: the real one, without durability, which no test here is about."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from infra.local.host import Host, this_host
from service.settings import Database
from tests.support.net import free_port
from tests.support.wait import wait_until

_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
}


@dataclass
class Postgres:
    """``data`` and ``port`` stay the same over stop and start."""

    data: Path
    port: int
    host: Host
    process: subprocess.Popen[bytes] | None = field(default=None)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def settings(self, database: str) -> Database:
        return Database(url=SecretStr(self.url(database)))

    def start(self) -> None:
        options = [part for name, value in _FAST.items() for part in ("-c", f"{name}={value}")]
        command = [*self.host.drop, str(self.host.postgres_bin / "postgres"), "-D", str(self.data / "pg")]
        self.process = subprocess.Popen([*command, "-p", str(self.port), *options], stderr=subprocess.DEVNULL)
        wait_until(self.answers, "PostgreSQL answers")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Ends every session at once, as a failing machine would; the data folder stays."""
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: immediate shutdown, recovery at the next start
            self.process.wait(30)
            self.process = None

    def create(self, name: str, template: str | None = None) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            source = sql.Identifier(template or "template1")
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))

    def drop(self, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def started() -> Iterator[Postgres]:
    """A server of its own in a folder of its own; both are gone afterwards."""
    host = this_host()
    data = Path(tempfile.mkdtemp(prefix="tasks-test-postgres-"))
    host.hand_over(data)
    server = Postgres(data, free_port(), host)
    try:
        initdb = [*host.drop, str(host.postgres_bin / "initdb"), "-D", str(data / "pg"), "-U", "postgres"]
        # trust: the server hears loopback only, for minutes, and holds what tests invent.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # as on the platform
        options = ["--auth=trust", "--no-sync", "--encoding=UTF8", *locale, "--no-instructions"]
        subprocess.run([*initdb, *options], check=True, stdout=subprocess.DEVNULL)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)
