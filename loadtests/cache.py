"""A Valkey of the measurement's own: on loopback, without persistence or password, gone afterwards."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.host import this_host
from loadtests.servers import HOST, Server, free_port, launched


@contextmanager
def valkey(folder: Path) -> Iterator[Server]:
    """A ready, empty server while it is wanted; `folder` holds its log."""
    host, port = this_host(), free_port()
    options = {
        "port": str(port),
        "bind": HOST,
        "save": "",
        "appendonly": "no",
        "maxmemory": "128mb",
        "maxmemory-policy": "allkeys-lfu",
    }
    argv = [str(host.valkey_server), *(word for name, value in options.items() for word in (f"--{name}", value))]
    log = folder / "valkey.log"
    with launched("valkey", argv, port=port, log=log, ready=lambda: pongs(port)) as server:
        server.wait_ready()
        yield server


def pongs(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
