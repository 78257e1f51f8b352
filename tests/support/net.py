"""Ports for tests: below 32768, where no outgoing connection of this machine can take them in between."""

import os
import random
import socket

_GENERATOR = random.Random(os.getpid())


def free_port(count: int = 1) -> int:
    """The first of ``count`` neighbouring ports that nothing listens on."""
    for _ in range(1000):
        base = _GENERATOR.randrange(10_000, 32_000)
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    raise RuntimeError("no free port between 10,000 and 32,000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
