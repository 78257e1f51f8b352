"""A bounded pool of psycopg connections that connects when it must and never waits for a background worker.

Not psycopg_pool: after an outage its workers reconnect with growing pauses, and requests wait for them although the
server is back. Here a request that finds no live connection opens one itself: it works, or it fails at once.
"""

import asyncio
import random
import select
import time
from collections import deque
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

# Old connections go, so that a server that was added or moved gets its share; the spread keeps them from going at once.
_LIFETIME_S: Final = 1800.0
_SPREAD: Final = 0.2


class PoolExhaustedError(Exception):
    """No connection came free in time."""


class Pool:
    def __init__(self, conninfo: str, *, name: str, size: int, timeout_s: float, autocommit: bool) -> None:
        self.name = name
        self.size = size
        self.in_use = 0
        self._conninfo = conninfo
        self._timeout_s = timeout_s
        self._autocommit = autocommit
        self._free = asyncio.Semaphore(size)
        # The last one in is the first one out: what is not needed gets old and goes.
        self._idle: deque[tuple[Connection, float]] = deque()

    async def acquire(self) -> tuple[Connection, float]:
        """A connection with its time of death. Raises :class:`PoolExhaustedError` or psycopg's OperationalError."""
        if self._free.locked():
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._free.acquire()
            except TimeoutError as error:
                raise PoolExhaustedError from error
        else:
            await self._free.acquire()
        self.in_use += 1
        try:
            while self._idle:
                connection, dies_at = self._idle.pop()
                if _is_live(connection) and time.monotonic() < dies_at:
                    return connection, dies_at
                await connection.close()
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=self._autocommit)
        except BaseException:
            self._give_back()
            raise
        lifetime = _LIFETIME_S * random.uniform(1 - _SPREAD, 1)  # noqa: S311 (a spread, not a secret)
        return connection, time.monotonic() + lifetime

    async def release(self, connection: Connection, dies_at: float) -> None:
        """Takes it back in whatever state it is; what is not idle and whole is closed, on a cancel too."""
        kept = False
        try:
            if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                await connection.rollback()
            if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                self._idle.append((connection, dies_at))
                kept = True
        except psycopg.Error:
            pass  # it broke meanwhile
        finally:
            if not kept:
                await connection.close()
            self._give_back()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop()[0].close()

    def _give_back(self) -> None:
        self.in_use -= 1
        self._free.release()


def _is_live(connection: Connection) -> bool:
    """An idle connection whose socket is readable has been closed by the server, or told that it will be.

    Asking the kernel costs microseconds, where a ping would cost every request a round trip.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
