"""Claim: rate limits protect the service from a client that abuses it. Measured: the p95 of honest users, alone and
beside one abusive client, with limits and without.

Honest users read at a steady open rate. The abuser has one token, asks without a pause on several connections, for
searches that no cache holds, and does not slow down when it is refused. It starts first: the burst that every quota
allows is over when the honest are measured.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from loadtests.cases import PRODUCT, Case
from loadtests.driver import Plan, Report
from loadtests.experiments.outcome import Figure, Outcome
from loadtests.experiments.size import TASKS_PER_OWNER, Size
from loadtests.experiments.stage import Say, Served, faults, load, migrate, stage
from loadtests.mix import READS, TASKS, Person, alike, asks, read_people
from loadtests.paced import Pace
from loadtests.servers import HOST
from loadtests.stats import Interval, abba_order, median_interval, paired_ratio
from loadtests.world import Owner, seed
from roadmap.claims import Claim

USERS = 150
RATE_PER_S = 150.0
# The product's own 20 a second for each user, counted over 15 s instead of a minute. An honest one asks once a second.
QUOTA = "300/15"
# No arm finds in the cache what the one before it has left there.
TTL_S = "1"
CONNECTIONS = (4, 32)
# Long enough for a process to start and to spend the burst of the quota.
LEAD_SECONDS = 2.0
# Searches that find all of the abuser's tasks, in many ways: each is long to answer, and none is asked for twice in the
# life of an answer.
TEXTS = tuple("Prepare report number"[start:end] for start in range(6) for end in range(start + 1, 9))
SORTS = ("createdAt", "-createdAt", "updatedAt", "-updatedAt", "title", "-title")
LIMITS = range(61, 101)
LIMITED, UNLIMITED = "limits", "no limits"


@dataclass(frozen=True)
class Arm:
    """A server under the honest load, beside an abuser with so many connections; 0 is no abuser."""

    limits: str
    connections: int

    @property
    def name(self) -> str:
        return f"{self.limits}, {f'abuser on {self.connections} connections' if self.connections else 'honest alone'}"


@dataclass(frozen=True)
class Round:
    honest: Report
    abuser: Report | None

    @property
    def refused_per_s(self) -> float:
        return 0.0 if self.abuser is None else self.abuser.statuses.get("429", 0) / self.abuser.elapsed_s

    @property
    def served_per_s(self) -> float:
        return 0.0 if self.abuser is None else self.abuser.statuses.get("200", 0) / self.abuser.elapsed_s


ARMS = [Arm(limits, connections) for limits in (LIMITED, UNLIMITED) for connections in (0, *CONNECTIONS)]


def run(claim: Claim, size: Size, say: Say, *, settings: Mapping[str, str] | None = None) -> Outcome:
    """`settings` replace those of the limited server."""
    moves, better = (expectation.metric for expectation in claim.expectations)
    rounds: dict[Arm, list[Round]] = {arm: [] for arm in ARMS}
    problems: list[str] = []
    with stage() as running:
        url = running.cluster.url
        migrate(url, "head")
        say(f"protection: seeding {(USERS + 1) * TASKS_PER_OWNER:,} tasks")
        seed(url, rows=(USERS + 1) * TASKS_PER_OWNER, owners=USERS + 1)
        *honest, abuser = read_people(url, running.keys)
        given = {"TASKS_CACHE_TTL_S": TTL_S, "TASKS_LIMITS_READ": QUOTA} | dict(settings or {})
        servers = {
            LIMITED: running.serve(PRODUCT, "limited", url, given),
            UNLIMITED: running.serve(PRODUCT, "unlimited", url, given | {"TASKS_LIMITS_ON": "false"}),
        }
        for served in servers.values():
            load(honest_pace(served, honest, size, 0))
        for number, order in enumerate(abba_order([arm.name for arm in ARMS], size.rounds), start=1):
            for arm in sorted(ARMS, key=lambda each: order.index(each.name)):
                measured = measure(arm, servers[arm.limits], honest, abuser, size, number)
                rounds[arm].append(measured)
                problems += faults_of(arm, measured, number)
                say(f"protection: {arm.name}: round {number}/{size.rounds}: p95 {measured.honest.p95_ms:.1f} ms")
    figures = [figure for connections in CONNECTIONS for figure in figures_of(connections, rounds, size, moves, better)]
    return Outcome(figures, sentence(figures), problems)


def honest_pace(served: Served, people: Sequence[Person], size: Size, number: int) -> Pace:
    """The same requests in every arm of a round."""
    random = Random(size.seed * 1_000 + number)  # noqa: S311 (reproducible, no secret)
    wanted = asks(people, alike(len(people)), READS, round(RATE_PER_S * size.seconds * 1.5), random)
    requests = [each.to(served.port) for each in wanted]
    return Pace(HOST, served.port, requests, RATE_PER_S, size.seconds, seed=size.seed + number)


def abuse(served: Served, abuser: Person, connections: int, size: Size, number: int) -> Plan:
    owner = Owner(abuser.id, abuser.token, abuser.tasks[0])
    paths = [
        f"{TASKS}?q={text.replace(' ', '%20')}&sort={sort}&limit={limit}"
        for text in TEXTS
        for sort in SORTS
        for limit in LIMITS
    ]
    requests = [Case("abuse", "abuse", path).request(owner, served.port) for path in paths]
    seconds = LEAD_SECONDS + size.seconds + 1.0
    return Plan(HOST, served.port, requests, connections=connections, seconds=seconds, seed=size.seed + number)


def measure(arm: Arm, served: Served, honest: Sequence[Person], abuser: Person, size: Size, number: int) -> Round:
    pace = honest_pace(served, honest, size, number)
    if arm.connections == 0:
        return Round(load(pace), None)
    with ThreadPoolExecutor(max_workers=1) as beside:
        abusing = beside.submit(load, abuse(served, abuser, arm.connections, size, number))
        time.sleep(LEAD_SECONDS)
        return Round(load(pace), abusing.result())


def faults_of(arm: Arm, measured: Round, number: int) -> list[str]:
    """Where nothing protects, honest users who are failed are a finding and not a fault of the rig."""
    expected = arm.limits == UNLIMITED and arm.connections > 0
    return [] if expected else faults(f"{arm.name}, round {number}", measured.honest)


def figures_of(
    connections: int, rounds: Mapping[Arm, list[Round]], size: Size, moves: str, better: str
) -> list[Figure]:
    def p95(limits: str, connections: int) -> list[float]:
        return [each.honest.p95_ms for each in rounds[Arm(limits, connections)]]

    def middle(values: Sequence[float]) -> float:
        return median_interval(values, seed=size.seed).median

    def ratio(subject: Sequence[float], peer: Sequence[float]) -> Interval:
        return paired_ratio(subject, peer, seed=size.seed)

    beside = {
        "p95 ms alone": middle(p95(LIMITED, 0)),
        "p95 ms abused": middle(p95(LIMITED, connections)),
        "refused/s": middle([each.refused_per_s for each in rounds[Arm(LIMITED, connections)]]),
        "abuser served/s": middle([each.served_per_s for each in rounds[Arm(LIMITED, connections)]]),
    }
    without = {
        "p95 ms alone": middle(p95(UNLIMITED, 0)),
        "p95 ms abused": middle(p95(UNLIMITED, connections)),
        "abuser served/s": middle([each.served_per_s for each in rounds[Arm(UNLIMITED, connections)]]),
    }
    name = f"abuser on {connections} connections"
    return [
        Figure(name, moves, "times", ratio(p95(LIMITED, connections), p95(LIMITED, 0)), beside),
        Figure(
            name, f"{moves}, without limits", "times", ratio(p95(UNLIMITED, connections), p95(UNLIMITED, 0)), without
        ),
        Figure(name, better, "times", ratio(p95(UNLIMITED, connections), p95(LIMITED, connections))),
    ]


def sentence(figures: Sequence[Figure]) -> str:
    parts = []
    for name in dict.fromkeys(figure.condition for figure in figures):
        limited, unlimited, _ = (figure for figure in figures if figure.condition == name)
        parts.append(
            f"beside an {name} the honest p95 goes from {limited.beside['p95 ms alone']:.3g} to"
            f" {limited.beside['p95 ms abused']:.3g} ms with limits ({limited.value.median:.2g} times, the abuser gets"
            f" {limited.beside['refused/s']:,.0f} refusals/s) and to {unlimited.beside['p95 ms abused']:.3g} ms"
            f" without ({unlimited.value.median:.2g} times)"
        )
    return f"{'; '.join(parts)}. A refusal costs CPU too: limits bound what an abuser gets, not how often it knocks."
