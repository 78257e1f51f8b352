"""PostgreSQL behind two kinds of session: one that can only read, and one that is a transaction.

A session is opened for a user id or for the directory (e-mail lookup, admin lists). Today both lead to one server;
replicas and shards come in behind :class:`Database` and change no caller.
"""

import select as os_select
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, LiteralString, NewType, NoReturn, Self, TypeVar, TypeVarTuple, Unpack

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from service.kit.problems import OutcomeUnknown, Unavailable
from service.settings import Database as DatabaseSettings

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
UserId = NewType("UserId", int)


class Directory:
    """The key of what belongs to no single user."""


DIRECTORY: Final = Directory()
Key = UserId | Directory

# SQLSTATE classes and codes that mean "not now" rather than "wrong": https://www.postgresql.org/docs/18/errcodes-appendix.html
_TRANSIENT_CLASSES = ("08", "53", "57", "58")  # connection, resources (disk full too), operator, system
_TRANSIENT_CODES = frozenset({"40001", "40P01", "55P03", "25006", "25P03"})  # serialization, deadlock, lock, standby


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_name)s_key",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )


def is_transient(error: BaseException) -> bool:
    """Whether the database is gone, busy or full, as against refusing what was asked."""
    if isinstance(error, PoolTimeout | OSError | TimeoutError):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return False
    state = cause.sqlstate
    if state is None:  # raised by the client: the connection broke or never was
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return state in _TRANSIENT_CODES or state.startswith(_TRANSIENT_CLASSES)


def constraint_of(error: sa.exc.IntegrityError) -> str | None:
    return error.orig.diag.constraint_name if isinstance(error.orig, psycopg.Error) else None


class ReadSession:
    """Reads, each statement on its own; the server itself refuses a write here.

    A connection is borrowed for one statement, so that none is held while a password is hashed or a body is built.
    Every method raises :class:`Unavailable` when the database is gone or busy.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self, statement: sa.Select[Unpack[Ts]]) -> Sequence[sa.Row[Unpack[Ts]]]:
        return (await self._run(statement)).all()

    async def first(self, statement: sa.Select[Unpack[Ts]]) -> sa.Row[Unpack[Ts]] | None:
        return (await self._run(statement)).first()

    async def driver_rows(self, query: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a hot statement, run on the driver's own connection.

        SQLAlchemy's execution costs about as much CPU as the query itself; only the few hottest reads come here.
        """
        try:
            connection = await self._engine.raw_connection()
            try:
                driver = connection.driver_connection
                if not isinstance(driver, psycopg.AsyncConnection):  # pragma: no cover
                    raise TypeError("the engine does not run on psycopg")
                await driver.set_autocommit(True)
                cursor = await driver.execute(query, parameters, prepare=True)
                return await cursor.fetchall()
            finally:
                connection.close()
        except Exception as error:
            _refuse(error)

    async def _run(self, statement: sa.Select[Unpack[Ts]]) -> sa.CursorResult[Unpack[Ts]]:
        try:
            async with self._engine.connect() as connection:
                return await connection.execute(statement)
        except Exception as error:
            _refuse(error)


class WriteSession(ReadSession):
    """One transaction, begun by its first statement and committed when the block ends without an exception.

    Reads here see the transaction's own writes. A commit whose answer never came raises :class:`OutcomeUnknown`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._connection: AsyncConnection | None = None
        self._after_commit: list[Callable[[], None]] = []

    async def execute(self, statement: sa.Executable) -> sa.CursorResult[Unpack[tuple[Any, ...]]]:
        """Raises SQLAlchemy's IntegrityError as it is: the repository knows what the constraint means."""
        try:
            return await (await self._begun()).execute(statement)
        except Exception as error:
            _refuse(error)

    async def returning(self, statement: sa.sql.selectable.TypedReturnsRows[Unpack[Ts]]) -> sa.Row[Unpack[Ts]] | None:
        """The one row of an INSERT, UPDATE or DELETE with RETURNING; None when no row qualified."""
        try:
            return (await (await self._begun()).execute(statement)).first()
        except Exception as error:
            _refuse(error)

    def after_commit(self, call: Callable[[], None]) -> None:
        """For what must not happen if the transaction fails: counters, local caches."""
        self._after_commit.append(call)

    async def _run(self, statement: sa.Select[Unpack[Ts]]) -> sa.CursorResult[Unpack[Ts]]:
        try:
            return await (await self._begun()).execute(statement)
        except Exception as error:
            _refuse(error)

    async def _begun(self) -> AsyncConnection:
        if self._connection is None:
            connection = await self._engine.connect()
            self._connection = connection
            await connection.begin()
        return self._connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                if error is None:
                    await self._commit(connection)
            finally:
                await connection.close()
        if error is None:
            for call in self._after_commit:
                call()

    @staticmethod
    async def _commit(connection: AsyncConnection) -> None:
        try:
            await connection.commit()
        except Exception as error:
            if is_transient(error):
                raise OutcomeUnknown from error
            raise


class Database:
    """Two pools on one server: reads and writes never wait for each other's connections."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._reads = _engine(settings, settings.read_pool_size, read_only=True)
        self._writes = _engine(settings, settings.write_pool_size, read_only=False)

    def read(self, key: Key) -> ReadSession:
        del key  # one server holds every key today
        return ReadSession(self._reads)

    def write(self, key: Key) -> WriteSession:
        del key
        return WriteSession(self._writes)

    async def ping(self) -> None:
        """Raises :class:`Unavailable` unless the server answers a query."""
        await self.read(DIRECTORY).first(sa.select(sa.literal(1)))

    def pools(self) -> dict[str, tuple[int, int]]:
        """For each pool its connections in use and its size, for the gauges."""
        counts = {}
        for name, engine in (("read", self._reads), ("write", self._writes)):
            pool = engine.pool
            if isinstance(pool, QueuePool):
                counts[name] = (pool.checkedout(), pool.size())
        return counts

    async def close(self) -> None:
        await self._reads.dispose()
        await self._writes.dispose()


def _engine(settings: DatabaseSettings, size: int, *, read_only: bool) -> AsyncEngine:
    options = {
        "statement_timeout": f"{settings.statement_timeout_ms}ms",
        "lock_timeout": f"{settings.lock_timeout_ms}ms",
        "idle_in_transaction_session_timeout": "15s",
        "timezone": "UTC",
        "default_transaction_read_only": "on" if read_only else "off",
    }
    engine = create_async_engine(
        sa.make_url(settings.url.get_secret_value()).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_s,
        # Parameters hold e-mail addresses and password hashes; they must not reach a log through an exception.
        hide_parameters=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_s,
            "application_name": "tasks-read" if read_only else "tasks-write",
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            # A vanished host must not hold a connection for the kernel's two hours.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    event.listen(engine.sync_engine, "checkout", _discard_if_closed)
    return engine


def _discard_if_closed(_: Any, entry: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
    """Drops a pooled connection that the server has closed, so that the first request after a restart works.

    An idle connection whose socket is readable has been closed (or sent a notice that says so). Asking the kernel costs
    microseconds, where a ping costs a round trip for every request.
    """
    driver = entry.driver_connection
    if isinstance(driver, psycopg.AsyncConnection):
        if driver.closed:
            raise DisconnectionError("closed")
        poll = os_select.poll()
        poll.register(driver.fileno(), os_select.POLLIN)
        if poll.poll(0):
            raise DisconnectionError("closed by the server")


def _refuse(error: Exception) -> NoReturn:
    if is_transient(error):
        raise Unavailable from error
    raise error
