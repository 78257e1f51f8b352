"""Bytes on a socket, exactly as an attacker sends them."""

import contextlib
import socket
from collections.abc import Iterator

_LONGEST_S = 10.0


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), _LONGEST_S) as connection:
        yield connection


def exchange(port: int, *parts: bytes) -> bytes:
    """Everything that comes back until the server closes; each part is a write of its own.

    What is sent has to end the connection: by ``Connection: close`` in its last request, or by being refused.
    """
    with connected(port) as connection:
        return received(connection, *parts)


def received(connection: socket.socket, *parts: bytes) -> bytes:
    got = bytearray()
    # A server that has refused closes its side, whatever is still being sent.
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65536):
            got += chunk
    return bytes(got)


def statuses(answer: bytes) -> list[int]:
    """The status of each response in what came back."""
    return [int(part[2:5]) for part in answer.split(b"HTTP/1.") if part]
