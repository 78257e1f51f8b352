"""As much of Valkey's protocol (RESP2) as it takes to ask one question: a probe needs no client library."""

import socket
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

_ANSWER_S = 2.0
Reply: TypeAlias = "str | int | list[Reply] | None"


class RefusedError(Exception):
    """Valkey's own words, such as `WRONGPASS ...`."""


def ask(url: str, password: str, *command: str) -> Reply:
    """The answer to one command, asked as the user of `valkey://user@host:port/0` over a connection of its own.

    Raises RefusedError for a refusal, OSError when nobody answers within 2 s.
    """
    at = urlsplit(url)
    with (
        socket.create_connection((at.hostname or "", at.port or 0), _ANSWER_S) as connection,
        connection.makefile("rb") as answers,
    ):
        if password:
            connection.sendall(_request("AUTH", at.username or "default", password))
            _read(answers)
        connection.sendall(_request(*command))
        return _read(answers)


def _request(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"".join((b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)))


def _read(answers: BinaryIO) -> Reply:
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("Valkey closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise RefusedError(rest)
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"*":
        return [_read(answers) for _ in range(int(rest))]
    if kind == b"$":
        # The length leaves out the line end; -1 is "no such value".
        return answers.read(int(rest) + 2)[:-2].decode() if rest != "-1" else None
    raise ConnectionResetError(f"this is not Valkey: {line[:20]!r}")
