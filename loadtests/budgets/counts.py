"""PostgreSQL's own count of its work, request by request: pg_stat_statements read before and after each.

A server also asks by itself, now and then (it hears of dead tokens), and that may fall into the window of a request.
So what an idle server asks too counts by the median of the windows, and everything else by the mean: a statement that
only some requests make has its share, and one that all of them make counts even if the idle server makes it as well.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import psycopg

from loadtests.servers import ServerError

IDLE_SECONDS = 10.0
# Top-level statements: what a trigger runs is in the buffers of the statement that fired it. Buffers are those of the
# execution; planning is left out, because only the first statements of a connection plan.
COUNTED = """
    SELECT queryid, sum(calls)::bigint, sum(shared_blks_hit + shared_blks_read)::bigint
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid WHERE datname = %s GROUP BY queryid
"""


@dataclass(frozen=True)
class Work:
    """Calls, and the pages of tables and indexes they looked at, in memory or not."""

    calls: float = 0
    buffers: float = 0


Counts = Mapping[int, Work]
NONE = Work()


@dataclass(frozen=True)
class Counter:
    """What one database does; `connection` is to another one, so that reading adds nothing."""

    connection: psycopg.Connection[Any]
    database: str

    def read(self) -> Counts:
        """Statements so far by their id."""
        rows = self.connection.execute(COUNTED, [self.database]).fetchall()
        return {statement: Work(calls, buffers) for statement, calls, buffers in rows}

    def idle(self) -> frozenset[int]:
        """The statements of a server that nobody asks: whatever came until one of them came a second time. ServerError
        when that takes too long.
        """
        start, limit = self.read(), time.monotonic() + IDLE_SECONDS
        while time.monotonic() < limit:
            since = difference(start, self.read())
            if any(work.calls > 1 for work in since.values()):
                return frozenset(since)
            time.sleep(0.02)
        raise ServerError(f"in {IDLE_SECONDS:g} s an idle server made no statement twice: what it makes is not known")


def difference(before: Counts, after: Counts) -> Counts:
    """The work in between, of the statements that were made."""
    work = {
        statement: Work(
            total.calls - before.get(statement, NONE).calls, total.buffers - before.get(statement, NONE).buffers
        )
        for statement, total in after.items()
    }
    return {statement: each for statement, each in work.items() if each.calls}


def a_request(windows: Sequence[Counts], idle: frozenset[int]) -> Work:
    """Work a request, of the windows of so many. StatisticsError without one."""
    calls = buffers = 0.0
    for statement in {statement for window in windows for statement in window}:
        middle = median if statement in idle else mean
        works = [window.get(statement, NONE) for window in windows]
        calls += middle([work.calls for work in works])
        buffers += middle([work.buffers for work in works])
    return Work(calls, buffers)
