"""A PostgreSQL of the measurement's own: real, on loopback TCP with a password, thrown away afterwards.

Durable settings stay on (fsync, synchronous_commit): a create that is not durable is not a create. As root the server
drops to `nobody`, which PostgreSQL demands.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from infra.local.host import this_host
from loadtests.servers import HOST, Server, free_port, launched, run_command

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True)
class Cluster:
    """A running server with an empty database; `url` is libpq's, the password lies in its passfile."""

    server: Server
    url: str

    def url_of(self, database: str) -> str:
        """As `url`, for another database of the server."""
        return self.url.replace("/postgres?", f"/{database}?")


@contextmanager
def postgres(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A fresh cluster while it is wanted. `folder` holds its log and passfile and must be private; `settings` are
    parameters of PostgreSQL that replace ours or come on top of them.
    """
    host = this_host()
    password, port = secrets.token_urlsafe(24), free_port()
    # PostgreSQL's own user must be able to reach its data through every parent, which a private folder forbids.
    data = Path(tempfile.mkdtemp(prefix="loadtests-postgres-"))
    try:
        password_file = data / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        host.hand_over(data)
        host.hand_over(password_file)
        initdb = [
            *host.drop,
            str(host.postgres_bin / "initdb"),
            "-D",
            str(data / "cluster"),
            "-U",
            "bench",
            "-E",
            "UTF8",
        ]
        initdb += ["--no-locale", "--no-sync", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        run_command(initdb)
        password_file.unlink()
        passfile = folder / "passfile"
        passfile.touch(mode=0o600)
        passfile.write_text(f"{HOST}:{port}:*:bench:{password}\n")
        url = f"postgresql://bench@{HOST}:{port}/postgres?passfile={passfile}"
        argv = [*host.drop, str(host.postgres_bin / "postgres"), "-D", str(data / "cluster"), "-p", str(port)]
        for name, value in (SETTINGS | dict(settings or {})).items():
            argv += ["-c", f"{name}={value}"]
        with launched("postgres", argv, port=port, log=folder / "postgres.log", ready=lambda: accepts(url)) as server:
            server.wait_ready()
            yield Cluster(server, url)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
