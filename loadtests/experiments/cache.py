"""Claim: a cache takes the response time from 200 ms to 30 ms. Measured: the list, from the product with its cache and
without, on the same rows.

Twice: on the schema of the old backend, where a slow list comes from, and with the product's indexes, which come in the
same phase as the cache. Of the cache it is the best case: every answer is in it.
"""

from collections.abc import Callable, Mapping
from random import Random

from loadtests.cases import CASES, PRODUCT, UNCACHED
from loadtests.doors import Say
from loadtests.driver import Plan, Report
from loadtests.experiments.outcome import Figure, Outcome
from loadtests.experiments.size import TASKS_PER_OWNER, Size
from loadtests.experiments.stage import Served, faults, load, migrate, ready, stage
from loadtests.mix import Person, read_people
from loadtests.paced import Pace, Request
from loadtests.reports.cells import number
from loadtests.servers import HOST
from loadtests.stats import abba_order, median_interval, paired_ratio
from loadtests.world import Owner, seed
from roadmap.claims import Claim

SETTINGS = {"shared_buffers": "1GB"}
# Each is asked for once before the rounds, which on a million rows without an index takes a moment each.
PEOPLE = 30
RATE_PER_S = 100.0
LIST = CASES["list"]

Shape = Callable[[int, list[Request], Size, int], Plan | Pace]


def one_after_another(port: int, requests: list[Request], size: Size, round_: int) -> Plan:
    """A closed loop on one connection: no request waits for another, so the time is the least there is."""
    contents = [request.content for request in requests]
    return Plan(HOST, port, contents, connections=1, seconds=size.seconds, seed=size.seed + round_)


def steadily(port: int, requests: list[Request], size: Size, round_: int) -> Pace:
    return Pace(HOST, port, requests, rate_per_s=RATE_PER_S, seconds=size.seconds, seed=size.seed + round_)


def run(claim: Claim, size: Size, say: Say) -> Outcome:
    rows, metrics = size.rows[-1], {expectation.metric for expectation in claim.expectations}
    figures: list[Figure] = []
    problems: list[str] = []
    with stage(SETTINGS) as running:
        url = running.cluster.url
        migrate(url, "0001")
        say(f"cache: seeding {rows:,} rows")
        seed(url, rows=rows, owners=max(PEOPLE, rows // TASKS_PER_OWNER))
        people = Random(size.seed).sample(read_people(url, running.keys), PEOPLE)  # noqa: S311 (reproducible)
        servers = {
            "before": running.serve(UNCACHED, "uncached", url),
            "after": running.serve(PRODUCT, "cached", url),
        }
        ready(servers.values())
        conditions: Mapping[str, tuple[str, Shape]] = {
            f"{rows:,} rows, no secondary index, one request at a time": ("0001", one_after_another),
            f"{rows:,} rows, the product's indexes, {RATE_PER_S:g} requests/s": ("head", steadily),
        }
        for condition, (revision, shape) in conditions.items():
            migrate(url, revision)
            reports, found = compare(condition, shape, servers, people, size, say)
            figures += figures_of(condition, reports, size)
            problems += found
    if missing := metrics - {figure.metric for figure in figures}:
        raise ValueError(f"{claim.id}: this experiment does not measure {', '.join(missing)}")
    return Outcome(figures, sentence(figures), problems)


def compare(
    condition: str, shape: Shape, servers: Mapping[str, Served], people: list[Person], size: Size, say: Say
) -> tuple[dict[str, list[Report]], list[str]]:
    reports: dict[str, list[Report]] = {name: [] for name in servers}
    problems: list[str] = []
    requests = {
        name: [Request(LIST.request(Owner(person.id, person.token, person.tasks[0]), served.port)) for person in people]
        for name, served in servers.items()
    }
    for name, served in servers.items():
        contents = [request.content for request in requests[name]]
        load(Plan(HOST, served.port, contents, connections=1, seconds=60, max_requests=len(contents)))
    for round_, order in enumerate(abba_order(tuple(servers), size.rounds), start=1):
        for name in order:
            report = load(shape(servers[name].port, requests[name], size, round_))
            reports[name].append(report)
            problems += faults(f"{condition}, {name}, round {round_}", report)
            say(f"cache: {condition}: round {round_}/{size.rounds}, {name}: p95 {report.p95_ms:.2f} ms")
    return reports, problems


def figures_of(condition: str, reports: Mapping[str, list[Report]], size: Size) -> list[Figure]:
    p95 = {name: [report.p95_ms for report in of] for name, of in reports.items()}
    p50 = {
        name: median_interval([report.p50_ms for report in of], seed=size.seed).median for name, of in reports.items()
    }
    answers = {name: sum(report.answered for report in of) for name, of in reports.items()}
    return [
        *(
            Figure(
                condition,
                f"p95 {name}",
                "ms",
                median_interval(p95[name], seed=size.seed),
                {"p50 ms": p50[name], "answers": answers[name]},
            )
            for name in reports
        ),
        Figure(condition, "gain", "times", paired_ratio(p95["before"], p95["after"], seed=size.seed)),
    ]


def sentence(figures: list[Figure]) -> str:
    parts = []
    for condition in dict.fromkeys(figure.condition for figure in figures):
        before, after, gain = (figure.value.median for figure in figures if figure.condition == condition)
        parts.append(f"with {condition}: p95 {number(before)} -> {number(after)} ms, {number(gain)} times as fast")
    return (
        f"Of lists that are in the cache, {'; '.join(parts)}. A miss takes as long as before, so the p95 of a mix in"
        " which more than 5 % miss is that of a miss."
    )
