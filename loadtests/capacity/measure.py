"""What the model is fitted on and checked against, measured: one real server step by step, then emulated ones.

The product runs as in the bench, with Valkey and its cache, on a core of its own where there are two; PostgreSQL,
Valkey and the generator share the other. Requests are those of people, reads and writes, users by Zipf's law. Loads
are busy shares of the server's core, so the rates are found first, by what a request costs at each of them.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg

from loadtests.capacity.cores import apart
from loadtests.capacity.emulate import measure_emulated, told, unanswered
from loadtests.capacity.measured import Measured, Setup, Step, Work
from loadtests.capacity.quiet import CALM, await_calm, seen_during
from loadtests.capacity.simulate import Routing
from loadtests.capacity.size import Size
from loadtests.cases import PRODUCT
from loadtests.doors import Say
from loadtests.driver import Report
from loadtests.experiments.stage import Served, Stage, load, migrate, ready, stage
from loadtests.gate.machine import place
from loadtests.mix import READS, WRITES, Person, asks, read_people, zipf
from loadtests.paced import Pace
from loadtests.servers import HOST, cpu_between, cpu_by_process
from loadtests.world import seed

MIX = {**READS, **WRITES}
WRITE_SHARE = sum(WRITES.values()) / sum(MIX.values())
# The product's own defaults, a process.
READ_POOL, WRITE_POOL = 6, 6
# What decides how often the cache answers is how often a user asks in the life of an answer: 60 s / 10 s in life. So
# few users at so high a rate get answers that live as much shorter.
ASKS_A_LIFE = 6
NOMINAL_RATE = 1_000.0
FIRST_RATE = 300.0
# Writes alone cost more CPU each than the mix does.
WRITES_LOAD = 0.3
# Utility statements are counted too, and with them the commits.
SETTINGS = {"shared_preload_libraries": "pg_stat_statements"}
WORK = r"""
    SELECT coalesce(sum(calls) FILTER (WHERE query !~* '^\s*(begin|commit|rollback)'), 0),
           coalesce(sum(calls) FILTER (WHERE query ~* '^\s*(with\s+\w+\s+as\s*\(\s*)?(insert|update|delete)\M'), 0),
           coalesce(sum(calls) FILTER (WHERE query ~* '^\s*commit'), 0),
           coalesce(sum(total_exec_time), 0)
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid WHERE datname = 'postgres'
"""


@dataclass(frozen=True)
class Run:
    report: Report
    server_s: float
    neighbours: float
    work: Work

    @property
    def cpu_s(self) -> float:
        return self.server_s / max(1, self.report.answered)


@dataclass(frozen=True)
class Rig:
    stage: Stage
    served: Served
    people: Sequence[Person]
    size: Size

    def pace(self, kinds: dict[str, float], rate_per_s: float, seconds: float, seed_: int) -> Pace:
        random = Random(seed_)  # noqa: S311 (reproducible, no secret)
        # A quarter more than is due on average; a run that needs still more would begin again.
        wanted = asks(self.people, zipf(len(self.people)), kinds, round(rate_per_s * seconds * 1.25) + 1, random)
        requests = [each.to(self.served.port) for each in wanted]
        return Pace(HOST, self.served.port, requests, rate_per_s, seconds, seed=seed_)

    def work(self) -> tuple[float, float, float, float]:
        """So far: statements, those that write rows, commits, and milliseconds in all of them."""
        with psycopg.connect(self.stage.cluster.url) as connection:
            row = connection.execute(WORK).fetchone()
        return tuple(float(value) for value in row or ())  # type: ignore[return-value]  # four, by the query

    def trim(self) -> None:
        """Takes away what was created: the lists of those who ask most would grow, and with them the work."""
        with psycopg.connect(self.stage.cluster.url, autocommit=True) as connection:
            connection.execute("DELETE FROM tasks WHERE id > %s", [self.size.tasks])
            connection.execute("VACUUM (ANALYZE) tasks")

    def measure(self, pace: Pace, number: int) -> Run:
        server, database = self.served.server.pid, self.stage.cluster.server.pid
        await_calm(self.size.patience_s)
        work, cpu, database_cpu = self.work(), cpu_by_process(server), cpu_by_process(database)
        report, neighbours = seen_during(lambda: load(pace))
        server_s, database_s = (
            cpu_between(cpu, cpu_by_process(server)),
            cpu_between(database_cpu, cpu_by_process(database)),
        )
        answered = max(1, report.answered)
        statements, row_writes, commits, held_ms = (
            (now - was) / answered for now, was in zip(self.work(), work, strict=True)
        )
        cost = Work(
            round=number,
            answered=report.answered,
            unanswered=unanswered(report),
            cpu_ms=database_s * 1_000 / answered,
            statements=statements,
            row_writes=row_writes,
            commits=commits,
            held_ms=held_ms,
        )
        return Run(report, server_s, neighbours, cost)

    def tries(self, rate_per_s: float, seed_: int, number: int) -> Iterator[Run]:
        """Again while neighbours disturb it, each time with new requests, and not for ever."""
        for attempt in range(self.size.tries):
            run = self.measure(self.pace(MIX, rate_per_s, self.size.seconds, seed_ + attempt * 1_000_000), number)
            yield run
            if run.neighbours <= CALM:
                return


def find_rates(rig: Rig, seconds: float, say: Say) -> dict[float, float]:
    """Requests/s by load. A request costs less CPU the more of them there are, so each load is tried."""
    rate, rates = FIRST_RATE, {}
    for attempt, aimed in enumerate((rig.size.loads[0], *rig.size.loads)):
        run = rig.measure(rig.pace(MIX, rate, seconds, 90_000 + attempt), 0)
        rates[aimed] = rate = aimed / run.cpu_s
        say(f"measuring: a request costs {run.cpu_s * 1_000:.2f} ms CPU; load {aimed:g} is tried with {rate:.0f}/s")
    return rates


@dataclass(frozen=True)
class Product:
    """`mixed`: the database's work at each of the steps; `writes`: under writes alone."""

    capacity_per_s: float
    steps: Sequence[Step]
    mixed: Sequence[Work]
    writes: Sequence[Work]


def measure_product(size: Size, core: int | None, say: Say) -> Product:
    steps: list[Step] = []
    mixed: list[Work] = []
    writes: list[Work] = []
    with stage(SETTINGS) as running:
        url = running.cluster.url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        migrate(url, "head")
        say(f"measuring: seeding {size.tasks:,} tasks of {size.users:,} users")
        seed(url, rows=size.tasks, owners=size.users)
        served = running.serve(PRODUCT, "product", url, settings_of(size))
        ready([served])
        if core is not None:
            place(served.server.pid, frozenset({core}))
        rig = Rig(running, served, read_people(url, running.keys), size)
        rates = find_rates(rig, min(2.0, size.seconds), say)
        for number in range(1, size.rounds + 1):
            rig.trim()
            order = list(size.loads)
            Random(size.seed * 1_000 + number).shuffle(order)  # noqa: S311 (reproducible, no secret)
            for aimed in order:
                for run in rig.tries(rates[aimed], size.seed * 10_000 + number * 100 + round(aimed * 100), number):
                    steps.append(step_of(run, aimed, number))
                    mixed.append(run.work)
                    say(told(f"round {number}/{size.rounds}", steps[-1]))
            rate = rates[size.loads[0]] * WRITES_LOAD / size.loads[0]
            run = rig.measure(rig.pace(dict(WRITES), rate, size.seconds, 50_000 + number), number)
            writes.append(run.work)
    return Product(rates[size.loads[-1]] / size.loads[-1], steps, mixed, writes)


def settings_of(size: Size) -> dict[str, str]:
    return {
        "TASKS_CACHE_TTL_S": f"{ttl_s(size):g}",
        "TASKS_DATABASE_READ_POOL_SIZE": str(READ_POOL),
        "TASKS_DATABASE_WRITE_POOL_SIZE": str(WRITE_POOL),
        # The first of Zipf's law asks for the many that he stands for; limits stay on and pay their price.
        "TASKS_LIMITS_READ": "60000/60",
        "TASKS_LIMITS_WRITE": "30000/60",
    }


def ttl_s(size: Size) -> float:
    return ASKS_A_LIFE * size.users / NOMINAL_RATE


def step_of(run: Run, aimed: float, number: int) -> Step:
    report = run.report
    return Step(
        round=number,
        load=aimed,
        servers=1,
        routing=Routing.RANDOM,
        seconds=report.elapsed_s,
        answered=report.answered,
        unanswered=unanswered(report),
        rate_per_s=report.answered / report.elapsed_s,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        busy=run.server_s / report.elapsed_s,
        service_ms=run.cpu_s * 1_000,
        generator_busy=report.busy,
        neighbours=run.neighbours,
    )


def measure(size: Size, say: Say) -> Measured:
    """All of it; ServerError when a part does not start. Nothing is left running."""
    with apart() as core:
        if core is None:
            say("measuring: one core only, so the generator takes turns with what it measures")
        product = measure_product(size, core, say)
    emulated = measure_emulated(size, say)
    setup = Setup(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        processor=processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        rounds=size.rounds,
        seconds=size.seconds,
        seed=size.seed,
        users=size.users,
        tasks=size.tasks,
        ttl_s=ttl_s(size),
        read_pool=READ_POOL,
        write_pool=WRITE_POOL,
        emulated_mean_ms=size.emulated_mean_ms,
    )
    return Measured(
        setup=setup,
        write_share=WRITE_SHARE,
        capacity_per_s=product.capacity_per_s,
        product=tuple(product.steps),
        mixed=tuple(product.mixed),
        writes=tuple(product.writes),
        emulated=tuple(emulated),
    )


def processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
