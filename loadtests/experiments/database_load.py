"""Claim: a cache takes 60 to 70 % of the load off the database. Measured: PostgreSQL's own count of its work
(pg_stat_statements) for the same mixed requests in the same order, once to the product with its cache and once without.

Each server has a copy of the database of its own, so that both meet the same rows. Time runs faster than in life, and
everything in it: what decides how often a cache answers is how often a user asks within the life of an answer, so
users who think a third of a second and answers that live for two seconds stand for 10 s and 60 s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import psycopg

from loadtests.cases import PRODUCT, UNCACHED, Peer
from loadtests.doors import Say
from loadtests.driver import Report
from loadtests.experiments.outcome import Figure, Outcome
from loadtests.experiments.size import TASKS_PER_OWNER, Size
from loadtests.experiments.stage import Served, Stage, faults, load, metric, migrate, ready, stage
from loadtests.mix import READS, WRITES, Ask, Person, alike, asks, read_people, zipf
from loadtests.paced import Pace
from loadtests.servers import HOST, cpu_between, cpu_by_process
from loadtests.stats import Interval, abba_order, median_interval, paired_ratio
from loadtests.world import seed
from roadmap.claims import Claim

SETTINGS = {"shared_preload_libraries": "pg_stat_statements"}
USERS = 100
RATE_PER_S = 300.0
TTL_S = 2.0
TIMES_AS_FAST = 30
# Answers that end only by a write: what no length of life can better.
ENDLESS_S = 3_600.0
# Load of a database: time in statements, and how many.
SPENT = """
    SELECT coalesce(sum(total_exec_time), 0), coalesce(sum(calls), 0)
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid WHERE datname = %s
"""


@dataclass(frozen=True)
class Condition:
    name: str
    weights: Callable[[int], Sequence[float]]
    kinds: Mapping[str, float]
    arm: str = "with"


MIX = {**READS, **WRITES}
CONDITIONS = (
    Condition("reads 78 %, users by Zipf's law", zipf, MIX),
    Condition("reads 78 %, users alike", alike, MIX),
    Condition("reads only, users by Zipf's law", zipf, READS),
    # Last: it leaves answers in Valkey that the other server must not find.
    Condition("reads 78 %, users by Zipf's law, answers live until a write", zipf, MIX, arm="endless"),
)


@dataclass(frozen=True)
class Load:
    """What one round cost the database, and the share of requests that the cache answered."""

    report: Report
    statements_ms: float
    calls: float
    cpu_s: float
    hit_share: float


@dataclass(frozen=True)
class Arm:
    """A server with its own database and its own people: both arms delete the same tasks."""

    database: str
    served: Served
    people: Sequence[Person]


def run(claim: Claim, size: Size, say: Say) -> Outcome:
    (expectation,) = claim.expectations
    figures: list[Figure] = []
    problems: list[str] = []
    with stage(SETTINGS) as running:
        say(f"database load: seeding {USERS * TASKS_PER_OWNER:,} tasks of {USERS} users")
        fill(running)
        arms = {
            "without": arm(running, UNCACHED, "without"),
            "with": (cached := arm(running, PRODUCT, "cached")),
            "endless": endless(running, cached),
        }
        ready(each.served for each in arms.values())
        for condition in CONDITIONS:
            trim(running)
            pair = {"without": arms["without"], "with": arms[condition.arm]}
            loads, found = compare(running, condition, pair, size, say)
            problems += found
            figures += figures_of(condition.name, expectation.metric, loads, size)
    return Outcome(figures, sentence(figures, expectation.metric), problems)


def fill(running: Stage) -> None:
    """A database for each of the two, the second a copy of the first; both are counted from the start."""
    with psycopg.connect(running.cluster.url, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute("CREATE DATABASE without")
        url = running.cluster.url_of("without")
        migrate(url, "head")
        seed(url, rows=USERS * TASKS_PER_OWNER, owners=USERS)
        admin.execute("CREATE DATABASE cached TEMPLATE without")


def trim(running: Stage) -> None:
    """Takes away what was created, so that each condition meets the same rows: the lists of those who ask most would
    grow, and with them the share of the work that a cache can take.
    """
    for database in ("without", "cached"):
        with psycopg.connect(running.cluster.url_of(database), autocommit=True) as connection:
            connection.execute("DELETE FROM tasks WHERE id > %s", [USERS * TASKS_PER_OWNER])
            connection.execute("VACUUM (ANALYZE) tasks")


def arm(running: Stage, peer: Peer, database: str) -> Arm:
    url = running.cluster.url_of(database)
    served = running.serve(peer, database, url, {"TASKS_CACHE_TTL_S": f"{TTL_S:g}"})
    return Arm(database, served, read_people(url, running.keys))


def endless(running: Stage, cached: Arm) -> Arm:
    """Another server on the database of the cached one, whose answers outlive the run."""
    url = running.cluster.url_of(cached.database)
    settings = {"TASKS_CACHE_TTL_S": f"{ENDLESS_S:g}"}
    return Arm(cached.database, running.serve(PRODUCT, "endless", url, settings), cached.people)


def compare(
    running: Stage, condition: Condition, arms: Mapping[str, Arm], size: Size, say: Say
) -> tuple[dict[str, list[Load]], list[str]]:
    loads: dict[str, list[Load]] = {name: [] for name in arms}
    problems: list[str] = []
    for number, order in enumerate(abba_order(tuple(arms), size.rounds), start=1):
        for name in order:
            measured = measure(running, condition, arms[name], size, number)
            loads[name].append(measured)
            problems += faults(f"{condition.name}, {name}, round {number}", measured.report)
            say(
                f"database load: {condition.name}: round {number}/{size.rounds}, {name}:"
                f" {measured.statements_ms:.0f} ms in {measured.calls:.0f} statements"
            )
    return loads, problems


def measure(running: Stage, condition: Condition, chosen: Arm, size: Size, number: int) -> Load:
    """One life of an answer first, unmeasured: a cache that was idle meanwhile is in its steady state again."""
    # One seed for both arms: the same requests in the same order. The people of an arm remember what is deleted.
    random = Random(size.seed * 1_000 + number)  # noqa: S311 (reproducible, no secret)
    weights = condition.weights(len(chosen.people))

    def paced(seconds: float, seed_: int) -> Pace:
        # A quarter more than is due on average; a run that needs still more would begin again.
        count = round(RATE_PER_S * seconds * 1.25)
        wanted: Sequence[Ask] = asks(chosen.people, weights, condition.kinds, count, random)
        port = chosen.served.port
        return Pace(HOST, port, [each.to(port) for each in wanted], RATE_PER_S, seconds, seed=seed_)

    load(paced(TTL_S, number))
    plan = paced(size.seconds, number + 1_000)
    database = running.cluster.server.pid
    before, hits, used = spent(running, chosen.database), hits_of(chosen), cpu_by_process(database)
    report = load(plan)
    after = spent(running, chosen.database)
    return Load(
        report=report,
        statements_ms=after[0] - before[0],
        calls=after[1] - before[1],
        cpu_s=cpu_between(used, cpu_by_process(database)),
        hit_share=(hits_of(chosen) - hits) / max(1, report.answered),
    )


def spent(running: Stage, database: str) -> tuple[float, float]:
    """Milliseconds in statements so far, and how many statements."""
    with psycopg.connect(running.cluster.url) as connection:
        row = connection.execute(SPENT, [database]).fetchone()
    return (float(row[0]), float(row[1])) if row else (0.0, 0.0)


def hits_of(chosen: Arm) -> float:
    return metric(chosen.served, "tasks_cache_hits_total")


def figures_of(condition: str, name: str, loads: Mapping[str, list[Load]], size: Size) -> list[Figure]:
    without, cached = loads["without"], loads["with"]

    def reduction(of: Callable[[Load], float]) -> Interval:
        ratio = paired_ratio([of(each) for each in cached], [of(each) for each in without], seed=size.seed)
        return Interval(100 * (1 - ratio.median), 100 * (1 - ratio.high), 100 * (1 - ratio.low))

    def middle(of: Callable[[Load], float], which: Sequence[Load]) -> float:
        return median_interval([of(each) for each in which], seed=size.seed).median

    beside = {
        "answered by the cache %": 100 * middle(lambda each: each.hit_share, cached),
        "p95 ms without": middle(lambda each: each.report.p95_ms, without),
        "p95 ms with": middle(lambda each: each.report.p95_ms, cached),
    }
    return [
        Figure(condition, name, "%", reduction(lambda each: each.statements_ms), beside),
        Figure(condition, "reduction of statements", "%", reduction(lambda each: each.calls)),
        Figure(condition, "reduction of CPU", "%", reduction(lambda each: each.cpu_s)),
    ]


def sentence(figures: Sequence[Figure], name: str) -> str:
    parts = []
    for figure in figures:
        if figure.metric == name:
            share = figure.beside["answered by the cache %"]
            parts.append(f"{figure.value.median:.0f} % with {figure.condition} (the cache answers {share:.0f} %)")
    return (
        f"What a cache takes off the database is a matter of who asks and who writes: {'; '.join(parts)}. Each user"
        f" asks {TTL_S * RATE_PER_S / USERS:g} times on average while an answer lives, and a write ends the lives of"
        f" all answers of its user; time runs {TIMES_AS_FAST} times as fast as at the peak of 500 requests/s."
    )
