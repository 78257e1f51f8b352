"""The figures of each request that has a budget: counted, never timed, so that two runs agree.

The same rows in the same places, vacuumed and analysed whole (the sample of ANALYZE is larger than the table), no
autovacuum, one client with one request at a time, one connection of each pool, the same requests in the same order. The
requests of a kind before those that count have planned its statements and filled every cache.

Instructions are counted of hits alone: those are answered in one call, from the request's bytes to the answer's. What
waits for the database goes through the event loop and libpq as often as the machine's timing has it, so its count
differs from run to run and is no budget.
"""

import platform
import shlex
import socket
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from statistics import mean
from typing import Any

import psycopg

from loadtests.budgets.counts import Counter, a_request, difference
from loadtests.budgets.subjects import INSTRUCTIONS, SUBJECTS, Subject
from loadtests.cases import CASES, PRODUCT, Peer
from loadtests.doors import Say
from loadtests.driver import HEAD_END, read_head
from loadtests.experiments.stage import Stage, migrate, ready, stage
from loadtests.instructions import count, valgrind
from loadtests.mix import Ask, Person, ask, read_people
from loadtests.paced import Request
from loadtests.servers import HOST, ServerError
from loadtests.world import Owner, seed

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "autovacuum": "off"}
# One connection, because each plans for itself. An idle server is soon known when it asks often.
PEER_SETTINGS = {
    "TASKS_DATABASE_READ_POOL_SIZE": "1",
    "TASKS_DATABASE_WRITE_POOL_SIZE": "1",
    "TASKS_TOKENS_REVOCATION_POLL_S": "0.1",
}
# Fewer rows than ANALYZE samples (30,000), so that the statistics are those of all rows and plans are the same. With a
# number of owners such as 200, one below a multiple of three, all tasks of an owner would have one status.
ROWS, OWNERS = 25_000, 250
# PostgreSQL plans a prepared statement anew five times before it may keep one plan.
WARM_UP, COUNTED = 10, 20
SEED = 1
TIMEOUT_SECONDS = 10.0

Figures = Mapping[str, float]
Admin = psycopg.Connection[Any]


@dataclass(frozen=True)
class Side:
    """A server on a database of its own, with its users; `idle` are the statements it makes unasked."""

    name: str
    port: int
    people: Sequence[Person]
    counter: Counter
    idle: frozenset[int]


def interpreter() -> str:
    """What instructions depend on beside our code: two builds of one 3.11 differed by 7 %."""
    optimized = [word for word in str(sysconfig.get_config_var("OPT")).split() if word.startswith("-O")]
    configured = shlex.split(str(sysconfig.get_config_var("CONFIG_ARGS")))
    optimized += [word for word in ("--enable-optimizations", "--with-lto") if word in configured]
    version = ".".join(platform.python_version_tuple()[:2])
    name = platform.python_implementation()
    return ", ".join([f"{name} {version}", platform.python_compiler(), *optimized, platform.machine()])


def measure(wanted: Sequence[Subject], say: Say) -> dict[str, Figures]:
    """Figures by request, in the order of `wanted`. ServerError when a part fails."""
    hits = [subject for subject in wanted if subject.hit]
    if hits:
        valgrind()
    peers = {subject.peer.name: subject.peer for subject in wanted}
    found: dict[str, dict[str, float]] = {}
    with stage(SETTINGS) as running, psycopg.connect(running.cluster.url, autocommit=True) as admin:
        say(f"seeding {ROWS:,} tasks of {OWNERS} users; starting {', '.join(peers)}")
        fill(running, admin, list(peers))
        for name, side in start(running, admin, list(peers.values())).items():
            say(f"counting statements, buffers and bytes of {name}")
            found |= of_side(side)
        if hits:
            say("counting instructions, most of a minute")
            for name, instructions in of_hits(running, hits).items():
                found[name][INSTRUCTIONS] = instructions
    return {subject.name: found[subject.name] for subject in wanted}


def fill(running: Stage, admin: Admin, databases: Sequence[str]) -> None:
    """A database for each server, copies of one, so that all meet the same rows in the same places."""
    admin.execute("CREATE EXTENSION pg_stat_statements")
    admin.execute("CREATE DATABASE seeded")
    url = running.cluster.url_of("seeded")
    migrate(url, "head")
    seed(url, rows=ROWS, owners=OWNERS)
    for database in databases:
        admin.execute(f'CREATE DATABASE "{database}" TEMPLATE seeded'.encode())


def start(running: Stage, admin: Admin, peers: Sequence[Peer]) -> dict[str, Side]:
    """Servers by name, ready and known when idle; the statements of their start are behind them."""
    url_of = running.cluster.url_of
    served = {peer.name: running.serve(peer, peer.name, url_of(peer.name), PEER_SETTINGS) for peer in peers}
    ready(served.values())
    found = {}
    for name, each in served.items():
        counter = Counter(admin, name)
        found[name] = Side(name, each.port, read_people(url_of(name), running.keys), counter, counter.idle())
    return found


def of_side(side: Side) -> dict[str, dict[str, float]]:
    """All that the server is asked, wanted or not: what a request costs depends on what was written before."""
    subjects = [subject for subject in SUBJECTS.values() if subject.peer.name == side.name]
    return {subject.name: cost(side, *requests(subject, side)) for subject in subjects}


def requests(subject: Subject, side: Side) -> tuple[list[Request], list[Request]]:
    """Those that come before, and those that count. A hit is one because the same was asked before."""
    random = Random(SEED)  # noqa: S311 (reproducible, no secret)
    people = side.people[: WARM_UP + COUNTED]
    asked = [asked_by(person, subject.kind, random).to(side.port) for person in people]
    before, counted = asked[:WARM_UP], asked[WARM_UP:]
    return (before + counted * 2 if subject.hit else before), counted


def asked_by(person: Person, kind: str, random: Random) -> Ask:
    return Ask(CASES[kind], person, person.tasks[0]) if kind == "me" else ask(kind, person, random)


def cost(side: Side, before: Sequence[Request], counted: Sequence[Request]) -> dict[str, float]:
    """Figures a request, of those that count. ServerError for an answer that is not the right one."""
    windows, heads, bodies = [], [], []
    with closing(socket.create_connection((HOST, side.port), TIMEOUT_SECONDS)) as connection:
        for request in before:
            exchange(connection, request)
        for request in counted:
            start = side.counter.read()
            head, body = exchange(connection, request)
            windows.append(difference(start, side.counter.read()))
            heads.append(head)
            bodies.append(body)
    work = a_request(windows, side.idle)
    figures = {
        "statements": work.calls,
        "buffers": work.buffers,
        "head_bytes": mean(heads),
        "body_bytes": mean(bodies),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def exchange(connection: socket.socket, request: Request) -> tuple[int, int]:
    """Bytes of the answer's head and of its body."""
    connection.sendall(request.content)
    received = b""
    while HEAD_END not in received:
        received += more(connection, request)
    head = received.index(HEAD_END) + len(HEAD_END)
    status, length = read_head(received[:head])
    while len(received) < head + length:
        received += more(connection, request)
    if status != request.status:
        raise ServerError(f"{request.kind}: status {status} instead of {request.status}: {received[head:]!r}")
    return head, len(received) - head


def more(connection: socket.socket, request: Request) -> bytes:
    try:
        received = connection.recv(65_536)
    except OSError as error:
        raise ServerError(f"{request.kind}: no whole answer: {error}") from error
    if not received:
        raise ServerError(f"{request.kind}: the connection ended before the answer")
    return received


def of_hits(running: Stage, hits: Sequence[Subject]) -> dict[str, float]:
    """Instructions by request, counted in one process: its start takes most of the time."""
    url = running.cluster.url_of(PRODUCT.name)
    people = read_people(url, running.keys)[WARM_UP:]
    random = Random(SEED)  # noqa: S311 (reproducible, no secret)
    asked = []
    for subject, person in zip(hits, people, strict=False):
        each = asked_by(person, subject.kind, random)
        asked.append((each.case, Owner(person.id, person.token, each.task_id)))
    counted = count({**running.values, "url": url}, asked, PRODUCT)
    return {subject.name: float(round(instructions)) for subject, instructions in zip(hits, counted, strict=True)}
