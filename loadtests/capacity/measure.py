"""What the model is fitted on and checked against, measured: one real server step by step, then emulated ones.

The product runs as in the bench, with Valkey and its cache, on a core of its own where there are two; PostgreSQL,
Valkey and the generator share the other. Requests are those of people, reads and writes, users by Zipf's law. Loads
are busy shares of the server's core, so the rates are found first, by what a request costs at each of them.
"""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg

from loadtests.capacity.cores import apart, pin
from loadtests.capacity.emulate import measure_emulated
from loadtests.capacity.measured import Measured, Setup, Step, Work
from loadtests.capacity.quiet import await_calm, seen_during
from loadtests.capacity.simulate import Routing
from loadtests.capacity.size import Size
from loadtests.cases import PRODUCT
from loadtests.driver import Report
from loadtests.experiments.stage import Say, Served, Stage, faults, load, migrate, ready, stage
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
class Rig:
    stage: Stage
    served: Served
    people: Sequence[Person]
    size: Size

    def pace(self, kinds: dict[str, int], rate_per_s: float, seconds: float, seed_: int) -> Pace:
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


@dataclass(frozen=True)
class Run:
    report: Report
    server_s: float
    neighbours: float
    work: Work

    @property
    def cpu_s(self) -> float:
        return self.server_s / max(1, self.report.answered)


def measure_once(rig: Rig, pace: Pace, number: int) -> Run:
    server, database = rig.served.server.pid, rig.stage.cluster.server.pid
    await_calm(rig.size.patience_s)
    work, cpu, database_cpu = rig.work(), cpu_by_process(server), cpu_by_process(database)
    report, neighbours = seen_during(lambda: load(pace))
    server_s, database_s = cpu_between(cpu, cpu_by_process(server)), cpu_between(database_cpu, cpu_by_process(database))
    answered = max(1, report.answered)
    statements, row_writes, commits, held_ms = (
        (now - was) / answered for now, was in zip(rig.work(), work, strict=True)
    )
    cost = Work(
        round=number,
        answered=report.answered,
        cpu_ms=database_s * 1_000 / answered,
        statements=statements,
        row_writes=row_writes,
        commits=commits,
        held_ms=held_ms,
    )
    return Run(report, server_s, neighbours, cost)


def find_rates(rig: Rig, seconds: float, say: Say) -> dict[float, float]:
    """Requests/s by load. A request costs less CPU the more of them there are, so each load is tried."""
    rate, rates = FIRST_RATE, {}
    for attempt, aimed in enumerate((rig.size.loads[0], *rig.size.loads)):
        run = measure_once(rig, rig.pace(MIX, rate, seconds, 90_000 + attempt), 0)
        rates[aimed] = rate = aimed / run.cpu_s
        say(f"measuring: a request costs {run.cpu_s * 1_000:.2f} ms CPU; load {aimed:g} is tried with {rate:.0f}/s")
    return rates


def measure_product(
    size: Size, core: int | None, say: Say
) -> tuple[float, list[Step], list[Work], list[Work], list[str]]:
    """Capacity, steps, the database's work at each of them and under writes alone, and the faults of the rig."""
    steps: list[Step] = []
    mixed: list[Work] = []
    writes: list[Work] = []
    problems: list[str] = []
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
            pin(served.server.pid, core)
        rig = Rig(running, served, read_people(url, running.keys), size)
        rates = find_rates(rig, min(2.0, size.seconds), say)
        for number in range(1, size.rounds + 1):
            rig.trim()
            order = list(size.loads)
            Random(size.seed * 1_000 + number).shuffle(order)  # noqa: S311 (reproducible, no secret)
            for aimed in order:
                pace = rig.pace(MIX, rates[aimed], size.seconds, size.seed * 10_000 + number * 100 + round(aimed * 100))
                run = measure_once(rig, pace, number)
                problems += faults(f"load {aimed:g}, round {number}", run.report)
                steps.append(step_of(run, aimed, number))
                mixed.append(run.work)
                say(
                    f"measuring: round {number}/{size.rounds}: {run.report.rate_per_s:.0f}/s,"
                    f" busy {steps[-1].busy:.2f}, p50 {run.report.p50_ms:.1f} ms, p95 {run.report.p95_ms:.1f} ms"
                )
            rate = rates[size.loads[0]] * WRITES_LOAD / size.loads[0]
            run = measure_once(rig, rig.pace(dict(WRITES), rate, size.seconds, 50_000 + number), number)
            problems += faults(f"writes alone, round {number}", run.report)
            writes.append(run.work)
    return rates[size.loads[-1]] / size.loads[-1], steps, mixed, writes, problems


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
        capacity, steps, mixed, writes, problems = measure_product(size, core, say)
    emulated, found = measure_emulated(size, say)
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
        capacity_per_s=capacity,
        product=tuple(steps),
        mixed=tuple(mixed),
        writes=tuple(writes),
        emulated=tuple(emulated),
        problems=(*problems, *found),
    )


def processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
