"""Speed of servers side by side on one machine: interleaved rounds on one database, ratios within a round.

A run whose rig was unfit (a wrong answer, a lost request, a generator at its limit, servers that answer differently)
is reported as invalid with its reasons. Neighbours on the machine are reported and do not make it invalid: they
widen the interval, which is what it is for.
"""

import json
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from loadtests.cases import CASES, COMPARISONS, INSTRUCTIONS, PEERS, Case, Comparison
from loadtests.doors import Say
from loadtests.driver import DRAIN_SECONDS, Plan, Report
from loadtests.instructions import count, valgrind
from loadtests.rig import Rig, differences, rig
from loadtests.servers import (
    HOST,
    Server,
    cpu_between,
    cpu_by_process,
    machine_busy,
    python_module,
    run_command,
)
from loadtests.stats import abba_order

GENERATOR_LIMIT = 0.95
# Each owner once: pools are full, statements prepared, and every token has been seen, as a token of seven days has.
WARM_UP_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    rounds: int = 10
    seconds: float = 1.0
    rows: int = 200_000
    owners: int = 2_000
    connections: int = 16
    pool: int = 8
    seed: int = 1
    cases: Sequence[str] = tuple(CASES)
    instructions: bool = True

    @property
    def counts(self) -> bool:
        """Whether instructions are counted: where they are wanted, and their case is."""
        return self.instructions and INSTRUCTIONS.case in self.cases

    @property
    def comparisons(self) -> Sequence[Comparison]:
        return [row for row in COMPARISONS if row.case in self.cases]

    def peers_of(self, case: str) -> list[str]:
        """Every server in the case's rows, once, in the order in which they are named."""
        rows = [row for row in self.comparisons if row.case == case]
        return list(dict.fromkeys(name for row in rows for name in (row.subject, row.peer)))


@dataclass(frozen=True)
class Round:
    """One server under load once.

    CPU is that of all processes of the server (of PostgreSQL) by the answers it gave. `server_share` is of one core,
    `neighbours_share` of the machine: whatever is neither server, database nor generator.
    """

    report: Report
    cpu_ms: float
    database_cpu_ms: float
    server_share: float
    neighbours_share: float


@dataclass
class Result:
    """All rounds by case and server, in the order of their numbers, what was wrong with the rig, and instructions a
    request by server when they were counted.
    """

    options: Options
    rounds: dict[str, dict[str, list[Round]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    instructions: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """CPU seconds used so far by each part of the machine."""

    server: dict[int, float]
    database: dict[int, float]
    machine_s: float
    generator_s: float
    moment_s: float

    @classmethod
    def read(cls, server: Server, database: Server) -> "Usage":
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(
            cpu_by_process(server.pid),
            cpu_by_process(database.pid),
            machine_busy(),
            children.ru_utime + children.ru_stime,
            time.monotonic(),
        )


def measure(running: Rig, server: Server, plan: Plan) -> Round:
    """Starts a driver for the plan. CPU covers the driver's whole life, in which the server has nothing else to do."""
    before = Usage.read(server, running.database)
    argv, limit_s = python_module("loadtests.driver"), plan.seconds + DRAIN_SECONDS + 30
    report = Report(**json.loads(run_command(argv, given=plan.to_json(), limit_s=limit_s)))
    after = Usage.read(server, running.database)
    server_s = cpu_between(before.server, after.server)
    database_s = cpu_between(before.database, after.database)
    ours_s = server_s + database_s + after.generator_s - before.generator_s
    elapsed_s = after.moment_s - before.moment_s
    answered = max(report.answered, 1)
    return Round(
        report=report,
        cpu_ms=server_s * 1_000 / answered,
        database_cpu_ms=database_s * 1_000 / answered,
        server_share=server_s / report.elapsed_s,
        neighbours_share=max(0.0, after.machine_s - before.machine_s - ours_s) / elapsed_s / (os.cpu_count() or 1),
    )


def faults(case: str, name: str, number: int, measured: Round) -> list[str]:
    """Why this round proves nothing; empty when it does."""
    report, where = measured.report, f"{case}, {name}, round {number}"
    found = []
    if not report.clean:
        found.append(f"{where}: {report.answered} answers by status {report.statuses}, {report.lost} requests lost")
    if report.busy >= GENERATOR_LIMIT:
        found.append(f"{where}: the generator used {report.busy:.0%} of its core, so it was the limit")
    return found


def run_case(running: Rig, case: Case, options: Options, result: Result, say: Say) -> None:
    names = options.peers_of(case.name)
    result.problems += differences(case, running, names)
    rounds = result.rounds[case.name] = {name: [] for name in names}
    plans = {
        name: Plan(
            HOST,
            running.servers[name].port,
            [case.request(owner, running.servers[name].port) for owner in running.owners],
            connections=options.connections,
            seconds=options.seconds,
            expect=case.status,
        )
        for name in names
    }
    for name in names:
        say(f"{case.name}: warming up {name}")
        measure(
            running,
            running.servers[name],
            replace(plans[name], seconds=WARM_UP_SECONDS, max_requests=len(running.owners)),
        )
    for number, order in enumerate(abba_order(names, options.rounds), start=1):
        for name in order:
            # One seed for the whole round: every server is asked for the same owners in the same order.
            plan = replace(plans[name], seed=options.seed * 1_000 + number)
            measured = measure(running, running.servers[name], plan)
            rounds[name].append(measured)
            result.problems += faults(case.name, name, number, measured)
            say(
                f"{case.name}: round {number}/{options.rounds} {name:<8} {measured.report.rate_per_s:8.0f}/s"
                f" {measured.cpu_ms:7.3f} ms CPU a request"
            )


def run(options: Options, say: Say) -> Result:
    """Brings everything up, measures each case and takes everything down again. ServerError when a part fails."""
    result = Result(options)
    if options.counts:
        valgrind()
    cases = [case for case in CASES.values() if case.name in options.cases]
    peers = dict.fromkeys(name for case in cases for name in options.peers_of(case.name))
    if options.counts:
        peers[INSTRUCTIONS.subject] = None
    with rig(list(peers), rows=options.rows, owners=options.owners, pool=options.pool, say=say) as running:
        for case in cases:
            run_case(running, case, options, result, say)
        if options.counts:
            for name in (INSTRUCTIONS.subject, INSTRUCTIONS.peer):
                say(f"counting instructions of {name}")
                asked = [(CASES[INSTRUCTIONS.case], running.recorded)]
                [result.instructions[name]] = count(running.values, asked, PEERS[name])
    return result
