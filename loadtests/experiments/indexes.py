"""Claim: indexes make queries so many times as fast. Measured: each named index alone, over growing tables.

Two schemas of one database hold the same rows, one with the tables of the old backend and one with the same and the
index, so that "without" is really without. Queries take turns between them on one connection: two would differ by the
cores that the scheduler happens to give their processes (0.04 or 0.11 ms for the same look-up, measured). The time is
what a client on loopback sees, of statements prepared as the product prepares them.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import psycopg

from loadtests.cluster import postgres
from loadtests.doors import Say
from loadtests.experiments.outcome import Figure, Outcome
from loadtests.experiments.queries import INDEXES, SCHEMAS, Index, Query, Values
from loadtests.experiments.size import TASKS_PER_OWNER, Size
from loadtests.experiments.stage import migrate
from loadtests.reports.cells import number
from loadtests.stats import Interval, abba_order, paired_ratio
from loadtests.world import seed
from roadmap.claims import Claim

# Both copies of a million rows stay in memory: the disk of the machine is not what is compared. No autovacuum comes
# in between; the tables are vacuumed once they are filled.
SETTINGS = {"shared_buffers": "1GB", "autovacuum": "off"}
NAME = "measured_idx"
# PostgreSQL plans a prepared statement anew five times before it may keep one plan.
WARM_UP = 6
SIDE_SECONDS = 0.02
MOST_REPEATS = 50
EXPLAINED = 5
# An index that saves less than a tenth of the pages is not worth its writes.
USEFUL_BELOW = 0.9

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Cell:
    """One index on one query at one size: the medians of both sides, and whether PostgreSQL used the index at all."""

    index: Index
    query: Query
    rows: int
    speed_up: Interval
    ms_without: float
    ms_with: float
    buffers_without: float
    buffers_with: float
    used: bool
    index_mb: float

    @property
    def useful(self) -> bool:
        return self.used and self.buffers_with < USEFUL_BELOW * self.buffers_without

    @property
    def figure(self) -> Figure:
        curve = f"{self.index.subject}, {self.query.name}"
        return Figure(
            f"{self.rows:,} rows, {curve}",
            "speed-up",
            "times",
            self.speed_up,
            {
                "ms without": self.ms_without,
                "ms with": self.ms_with,
                "buffers without": self.buffers_without,
                "buffers with": self.buffers_with,
                "index MB": self.index_mb,
                "used": float(self.used),
            },
            counts=self.index.named,
            curve=curve,
            rows=self.rows,
        )


def run(claim: Claim, size: Size, say: Say) -> Outcome:
    subjects = claim.subjects or ()
    indexes = [INDEXES[subject] for subject in subjects] + [each for each in INDEXES.values() if not each.named]
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder, postgres(Path(folder), SETTINGS) as cluster:
        for rows in size.rows:
            say(f"indexes: seeding {rows:,} rows")
            fill(cluster.url, rows)
            with psycopg.connect(cluster.url, autocommit=True) as connection:
                for index in indexes:
                    found = measure(index, connection, rows, size)
                    cells += found
                    for cell in found:
                        say(f"{cell.figure.condition}: {cell.speed_up.median:.3g} times as fast")
    return Outcome([cell.figure for cell in cells], sentence(cells))


def fill(url: str, rows: int) -> None:
    """Both schemas anew, with the same rows in the same places and no secondary index but that of UNIQUE."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS indexed CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute("CREATE SCHEMA indexed")
        migrate(url, "0001")
        seed(url, rows=rows, owners=max(1, rows // TASKS_PER_OWNER))
        for table in ("users", "tasks"):
            connection.execute(f"CREATE TABLE indexed.{table} (LIKE public.{table} INCLUDING ALL)".encode())
            copy = f"INSERT INTO indexed.{table} OVERRIDING SYSTEM VALUE SELECT * FROM public.{table} ORDER BY id"  # noqa: S608
            connection.execute(copy.encode())
            connection.execute(f"VACUUM (FREEZE, ANALYZE) indexed.{table}".encode())


def measure(index: Index, connection: Connection, rows: int, size: Size) -> list[Cell]:
    connection.execute(f"CREATE INDEX {NAME} ON indexed.{index.on}".encode())
    try:
        return [compare(index, query, connection, rows, size) for query in index.queries]
    finally:
        connection.execute(f"DROP INDEX indexed.{NAME}")


def compare(index: Index, query: Query, connection: Connection, rows: int, size: Size) -> Cell:
    # The same values in the same order wherever the seed is the same; nothing here is a secret.
    random, owners = Random(size.seed), max(1, rows // TASKS_PER_OWNER)  # noqa: S311
    buffers: dict[str, list[float]] = {side: [] for side in SCHEMAS}
    plans = ""
    for values in [query.draw(random, owners) for _ in range(EXPLAINED)]:
        for side in SCHEMAS:
            plan = explain(connection, query.of(side), values)
            buffers[side].append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
            plans += json.dumps(plan) if side == "with" else ""
    repeats = {side: warm_up(connection, query.of(side), query.draw(random, owners)) for side in SCHEMAS}
    taken: dict[str, list[float]] = {side: [] for side in SCHEMAS}
    for order in abba_order(tuple(SCHEMAS), size.pairs):
        values = query.draw(random, owners)
        for side in order:
            taken[side].append(timed(connection, query.of(side), values, repeats[side]) * 1_000)
    row = connection.execute("SELECT pg_relation_size(%s::regclass)", [f"indexed.{NAME}"]).fetchone()
    return Cell(
        index=index,
        query=query,
        rows=rows,
        speed_up=paired_ratio(taken["without"], taken["with"], seed=size.seed),
        ms_without=median(taken["without"]),
        ms_with=median(taken["with"]),
        buffers_without=median(buffers["without"]),
        buffers_with=median(buffers["with"]),
        used=f'"{NAME}"' in plans,
        index_mb=float(str(row[0])) / 1e6 if row else 0.0,
    )


def explain(connection: Connection, sql: bytes, values: Values) -> dict[str, float]:
    """The top node of the plan that ran: its buffers include those of all others, and of parallel workers."""
    row = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, values).fetchone()
    [found] = row[0] if row and isinstance(row[0], list) else [{}]
    plan: dict[str, float] = found["Plan"]
    return plan


def warm_up(connection: Connection, sql: bytes, values: Values) -> int:
    """How often a timed side repeats its query, so that one side of a pair takes some milliseconds."""
    taken = [timed(connection, sql, values, 1) for _ in range(WARM_UP)]
    return min(MOST_REPEATS, max(1, round(SIDE_SECONDS / min(taken))))


def timed(connection: Connection, sql: bytes, values: Values, repeats: int) -> float:
    """Seconds of one execution, the rows received."""
    start = time.perf_counter()
    for _ in range(repeats):
        connection.execute(sql, values, prepare=True).fetchall()
    return (time.perf_counter() - start) / repeats


def sentence(cells: Sequence[Cell]) -> str:
    """The curve of each index on each query it helps, and which of them save no pages at any size."""
    parts, useless = [], []
    for subject in dict.fromkeys(cell.index.subject for cell in cells):
        own = [cell for cell in cells if cell.index.subject == subject]
        if not any(cell.useful for cell in own):
            useless.append(subject)
            continue
        for query in dict.fromkeys(cell.query.name for cell in own):
            curve = [cell for cell in own if cell.query.name == query]
            times = ", ".join(number(cell.speed_up.median) for cell in curve)
            parts.append(f"{subject} on '{query}' {times}")
    sizes = ", ".join(f"{each:,}" for each in sorted({cell.rows for cell in cells}))
    idle = f" Useless, because they save no pages at any size: {', '.join(useless)}." if useless else ""
    return (
        f"The speed-up is no constant, it depends on rows, query and index. At {sizes} rows: {'; '.join(parts)}.{idle}"
    )
