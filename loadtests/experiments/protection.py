"""Claim: rate limits protect the service from a client that abuses it. Measured: the p95 of honest users, alone and
beside one abusive client, with limits and without.

Honest users read at a steady open rate. The abuser has one token, asks for searches that no cache holds, and does not
slow down when it is refused: a program that polls much too often, and one that knows no pause. It starts first: the
burst that every quota allows is over when the honest are measured. Server, database and both generators share this
machine, so an abuser takes CPU from the others by its mere running, which in life it would not.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from loadtests.cases import PRODUCT, Case
from loadtests.doors import Say
from loadtests.driver import Plan, Report
from loadtests.experiments.outcome import Figure, Outcome
from loadtests.experiments.size import TASKS_PER_OWNER, Size
from loadtests.experiments.stage import Served, faults, load, migrate, ready, stage
from loadtests.mix import READS, Person, alike, asks, read_people
from loadtests.paced import Pace, Request
from loadtests.personas import TASKS
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
# By name: requests/s of an open loop, or connections of a closed one. The first asks for more than the server can
# answer (some 800 of these searches a second, measured): at half of that nobody was much disturbed, limits or not.
POLLING, RELENTLESS = "an abuser who asks 1,000 times a second", "an abuser without a pause on 32 connections"
ABUSERS: Mapping[str, float | int] = {POLLING: 1_000.0, RELENTLESS: 32}
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
    """A server under the honest load, beside one of the abusers or without."""

    limits: str
    abuser: str | None

    @property
    def name(self) -> str:
        return f"{self.limits}, {self.abuser or 'honest alone'}"


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


ARMS = [Arm(limits, abuser) for limits in (LIMITED, UNLIMITED) for abuser in (None, *ABUSERS)]


def run(claim: Claim, size: Size, say: Say) -> Outcome:
    moves, better = (expectation.metric for expectation in claim.expectations)
    rounds: dict[Arm, list[Round]] = {arm: [] for arm in ARMS}
    problems: list[str] = []
    with stage() as running:
        url = running.cluster.url
        migrate(url, "head")
        say(f"protection: seeding {(USERS + 1) * TASKS_PER_OWNER:,} tasks")
        seed(url, rows=(USERS + 1) * TASKS_PER_OWNER, owners=USERS + 1)
        *honest, abuser = read_people(url, running.keys)
        given = {"TASKS_CACHE_TTL_S": TTL_S, "TASKS_LIMITS_READ": QUOTA}
        servers = {
            LIMITED: running.serve(PRODUCT, "limited", url, given),
            UNLIMITED: running.serve(PRODUCT, "unlimited", url, given | {"TASKS_LIMITS_ON": "false"}),
        }
        ready(servers.values())
        for served in servers.values():
            load(honest_pace(served, honest, size, 0))
        for number, order in enumerate(abba_order([arm.name for arm in ARMS], size.rounds), start=1):
            for arm in sorted(ARMS, key=lambda each: order.index(each.name)):
                measured = measure(arm, servers[arm.limits], honest, abuser, size, number)
                rounds[arm].append(measured)
                problems += faults_of(arm, measured, number)
                say(f"protection: {arm.name}: round {number}/{size.rounds}: p95 {measured.honest.p95_ms:.1f} ms")
    figures = [figure for abuser in ABUSERS for figure in figures_of(abuser, rounds, size, moves, better)]
    return Outcome(figures, sentence(figures), problems)


def honest_pace(served: Served, people: Sequence[Person], size: Size, number: int) -> Pace:
    """The same requests in every arm of a round."""
    random = Random(size.seed * 1_000 + number)  # noqa: S311 (reproducible, no secret)
    wanted = asks(people, alike(len(people)), READS, round(RATE_PER_S * size.seconds * 1.5), random)
    requests = [each.to(served.port) for each in wanted]
    return Pace(HOST, served.port, requests, RATE_PER_S, size.seconds, seed=size.seed + number)


def abuse(served: Served, abuser: Person, how: float, size: Size, number: int) -> Plan | Pace:
    owner = Owner(abuser.id, abuser.token, abuser.tasks[0])
    paths = [
        f"{TASKS}?q={text.replace(' ', '%20')}&sort={sort}&limit={limit}"
        for text in TEXTS
        for sort in SORTS
        for limit in LIMITS
    ]
    requests = [Case("abuse", "abuse", path).request(owner, served.port) for path in paths]
    seconds, chosen = LEAD_SECONDS + size.seconds + 1.0, size.seed + number
    if isinstance(how, int):
        return Plan(HOST, served.port, requests, connections=how, seconds=seconds, seed=chosen)
    Random(chosen).shuffle(requests)  # noqa: S311 (reproducible, no secret)
    return Pace(HOST, served.port, [Request(request) for request in requests], how, seconds, seed=chosen)


def measure(arm: Arm, served: Served, honest: Sequence[Person], abuser: Person, size: Size, number: int) -> Round:
    pace = honest_pace(served, honest, size, number)
    if arm.abuser is None:
        return Round(load(pace), None)
    with ThreadPoolExecutor(max_workers=1) as beside:
        abusing = beside.submit(load, abuse(served, abuser, ABUSERS[arm.abuser], size, number))
        time.sleep(LEAD_SECONDS)
        return Round(load(pace), abusing.result())


def faults_of(arm: Arm, measured: Round, number: int) -> list[str]:
    """Where nothing protects, honest users who are failed are a finding and not a fault of the rig."""
    expected = arm.limits == UNLIMITED and arm.abuser is not None
    return [] if expected else faults(f"{arm.name}, round {number}", measured.honest)


def figures_of(abuser: str, rounds: Mapping[Arm, list[Round]], size: Size, moves: str, better: str) -> list[Figure]:
    def p95(limits: str, abuser: str | None) -> list[float]:
        return [each.honest.p95_ms for each in rounds[Arm(limits, abuser)]]

    def middle(values: Sequence[float]) -> float:
        return median_interval(values, seed=size.seed).median

    def ratio(subject: Sequence[float], peer: Sequence[float]) -> Interval:
        return paired_ratio(subject, peer, seed=size.seed)

    beside = {
        "p95 ms alone": middle(p95(LIMITED, None)),
        "p95 ms abused": middle(p95(LIMITED, abuser)),
        "refused/s": middle([each.refused_per_s for each in rounds[Arm(LIMITED, abuser)]]),
        "abuser served/s": middle([each.served_per_s for each in rounds[Arm(LIMITED, abuser)]]),
    }
    without = {
        "p95 ms alone": middle(p95(UNLIMITED, None)),
        "p95 ms abused": middle(p95(UNLIMITED, abuser)),
        "abuser served/s": middle([each.served_per_s for each in rounds[Arm(UNLIMITED, abuser)]]),
    }
    return [
        Figure(abuser, moves, "times", ratio(p95(LIMITED, abuser), p95(LIMITED, None)), beside),
        Figure(
            abuser, f"{moves}, without limits", "times", ratio(p95(UNLIMITED, abuser), p95(UNLIMITED, None)), without
        ),
        Figure(abuser, better, "times", ratio(p95(UNLIMITED, abuser), p95(LIMITED, abuser))),
    ]


def sentence(figures: Sequence[Figure]) -> str:
    parts = []
    for name in dict.fromkeys(figure.condition for figure in figures):
        limited, unlimited, _ = (figure for figure in figures if figure.condition == name)
        parts.append(
            f"beside {name} the honest p95 goes from {limited.beside['p95 ms alone']:.3g} to"
            f" {limited.beside['p95 ms abused']:.3g} ms with limits ({limited.value.median:.2g} times, the abuser gets"
            f" {limited.beside['refused/s']:,.0f} refusals/s) and to {unlimited.beside['p95 ms abused']:.3g} ms"
            f" without ({unlimited.value.median:.2g} times)"
        )
    told = "; ".join(parts)
    cost = "A refusal costs CPU too: limits bound what an abuser gets, not how often it knocks."
    return f"{told[0].upper()}{told[1:]}. {cost}"
