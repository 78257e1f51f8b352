"""PostgreSQL behind two kinds of session: one that can only read, and one that is a transaction.

A session is opened for a user id or for the directory (e-mail lookup, admin lists). Today both lead to one server;
replicas and shards come in behind :class:`Database` and change no caller.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Final, LiteralString, NewType, NoReturn, Self

import psycopg
from psycopg.conninfo import make_conninfo

from service.kit import tracing
from service.kit.pool import Connection, Pool, PoolExhaustedError
from service.kit.problems import OutcomeUnknown, Unavailable
from service.kit.telemetry import Durations
from service.settings import Database as DatabaseSettings

Row = tuple[Any, ...]
UserId = NewType("UserId", int)

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_POOL: Final = ("db_client_connection_pool_name",)
_STATEMENTS: Final = Durations(
    "db_client_operation_duration_seconds", "Time of a statement, COMMIT and ROLLBACK not among them.", _POOL, _BUCKETS
)
_WAITS: Final = Durations(
    "db_client_connection_wait_time_seconds", "Time to be given an open connection.", _POOL, _BUCKETS
)


class Directory:
    """The key of what belongs to no single user."""


DIRECTORY: Final = Directory()
Key = UserId | Directory

# SQLSTATEs that mean "not now" rather than "wrong" (PostgreSQL, appendix A): connection, resources (disk full too),
# operator intervention, system error; serialization, deadlock, lock timeout, read-only server.
_TRANSIENT_CLASSES: Final = ("08", "53", "57", "58")
_TRANSIENT_CODES: Final = frozenset({"40001", "40P01", "55P03", "25006", "25P03"})


def is_transient(error: BaseException) -> bool:
    """Whether the database is gone, busy or full, as against refusing what was asked."""
    if not isinstance(error, psycopg.Error):
        return isinstance(error, PoolExhaustedError | OSError)
    if error.sqlstate is None:  # raised by the client: the connection broke or never was
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate in _TRANSIENT_CODES or error.sqlstate.startswith(_TRANSIENT_CLASSES)


class ReadSession:
    """Reads, each statement on its own; the server itself refuses a write here.

    A connection is borrowed for one statement, so that none is held while a password is hashed or a body is built.
    Every method raises :class:`Unavailable` when the database is gone or busy.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rows(self, query: LiteralString, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            connection, dies_at = await _acquire(self._pool)
            try:
                return await _fetch(connection, self._pool.name, query, parameters)
            finally:
                await self._pool.release(connection, dies_at)
        except Exception as error:  # noqa: BLE001 (raised again, some of it by another name)
            _refuse(error)

    async def row(self, query: LiteralString, parameters: Sequence[Any] = ()) -> Row | None:
        found = await self.rows(query, parameters)
        return found[0] if found else None


class WriteSession(ReadSession):
    """One transaction, begun by its first statement and committed when the block ends without an exception.

    Reads here see the transaction's own writes. A refused constraint raises psycopg's IntegrityError as it is: the
    repository knows what it means. A commit whose answer never came raises :class:`OutcomeUnknown`.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._connection: Connection | None = None
        self._dies_at = 0.0
        self._after_commit: list[Callable[[], object]] = []
        # Users whose answers this changes; what is kept of them ends with the commit.
        self.touched: set[UserId] = set()
        # From here on nobody can say that nothing was changed.
        self.committing = False

    async def rows(self, query: LiteralString, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            if self._connection is None:
                self._connection, self._dies_at = await _acquire(self._pool)
            return await _fetch(self._connection, self._pool.name, query, parameters)
        except Exception as error:  # noqa: BLE001 (raised again, some of it by another name)
            _refuse(error)

    async def execute(self, query: LiteralString, parameters: Sequence[Any] = ()) -> None:
        await self.rows(query, parameters)

    def after_commit(self, call: Callable[[], object]) -> None:
        """For what must not happen if the transaction fails: counters, what this process remembers."""
        self._after_commit.append(call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                if error is None:
                    self.committing = True
                    await connection.commit()
            except psycopg.Error as failure:
                if is_transient(failure):
                    raise OutcomeUnknown from failure
                raise
            finally:
                await self._pool.release(connection, self._dies_at)
        if error is None:
            for call in self._after_commit:
                call()


class Database:
    """Two pools on one server: reads and writes never wait for each other's connections."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._reads = Pool(
            _conninfo(settings, read_only=True),
            name="read",
            size=settings.read_pool_size,
            timeout_s=settings.pool_timeout_s,
            autocommit=True,
        )
        self._writes = Pool(
            _conninfo(settings, read_only=False),
            name="write",
            size=settings.write_pool_size,
            timeout_s=settings.pool_timeout_s,
            autocommit=False,
        )

    def read(self, key: Key) -> ReadSession:
        del key  # one server holds every key today
        return ReadSession(self._reads)

    def write(self, key: Key) -> WriteSession:
        del key
        return WriteSession(self._writes)

    async def ping(self) -> None:
        """Raises :class:`Unavailable` unless the server answers a query."""
        await self.read(DIRECTORY).row("SELECT 1")

    def pools(self) -> dict[str, tuple[int, int]]:
        """For each pool its connections in use and its size, for the gauges."""
        return {pool.name: (pool.in_use, pool.size) for pool in (self._reads, self._writes)}

    async def close(self) -> None:
        await self._reads.close()
        await self._writes.close()


async def _acquire(pool: Pool) -> tuple[Connection, float]:
    begun = perf_counter()
    try:
        return await pool.acquire()
    finally:
        _WAITS.observe((pool.name,), perf_counter() - begun)


async def _fetch(connection: Connection, pool: str, query: LiteralString, parameters: Sequence[Any]) -> list[Row]:
    begun = perf_counter()
    try:
        # Prepared: parsed and planned once a connection. Binary: numbers and times need no parsing here.
        if tracing.is_sampled():
            # The text holds no value: those are parameters, which stay out of traces as they stay out of logs.
            with tracing.spanning("postgresql", db_system_name="postgresql", db_query_text=" ".join(query.split())):
                cursor = await connection.execute(query, parameters, prepare=True, binary=True)
        else:
            cursor = await connection.execute(query, parameters, prepare=True, binary=True)
        return await cursor.fetchall() if cursor.description is not None else []
    finally:
        _STATEMENTS.observe((pool,), perf_counter() - begun)


def _conninfo(settings: DatabaseSettings, *, read_only: bool) -> str:
    options = {
        "statement_timeout": f"{settings.statement_timeout_ms}ms",
        "lock_timeout": f"{settings.lock_timeout_ms}ms",
        "idle_in_transaction_session_timeout": "15s",
        # One request that takes every core makes all others wait: a count of 1,000,000 rows did, for 0.7 s.
        "max_parallel_workers_per_gather": "0",
        "timezone": "UTC",
        # Not "off" for writes: who sets a whole server to read-only, before its disk is full, means it.
        **({"default_transaction_read_only": "on"} if read_only else {}),
    }
    return make_conninfo(
        settings.url.get_secret_value(),
        connect_timeout=settings.connect_timeout_s,
        application_name="tasks-read" if read_only else "tasks-write",
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        # A vanished host must not hold a connection for the kernel's two hours.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )


def _refuse(error: Exception) -> NoReturn:
    if is_transient(error):
        raise Unavailable from error
    raise error
