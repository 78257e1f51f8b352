"""An open-loop HTTP/1.1 generator in a process of its own: requests start when they are due, whatever is under way.

Arrivals are a Poisson process by the seed. Latency counts from the moment a request was due, so a server that stalls
pays for all who came meanwhile; a closed loop would have waited with it. Timers tick in milliseconds: what wakes up
later than it was due, by less than a tick or two, counts from there. A request that finds no idle connection opens one,
up to a bound, then waits for one.

`python -m loadtests.paced` reads one Pace as JSON on stdin and prints one report of `loadtests.driver` as JSON.
"""

import asyncio
import base64
import itertools
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

import uvloop

from loadtests.driver import DRAIN_SECONDS, MAX_CONNECTIONS, Connection, Plan, Report, Run

MAX_RATE = 20_000.0
TICKS_SECONDS = 0.002
NAP_SECONDS = 0.5  # after which a deadline that was moved is seen


@dataclass(frozen=True)
class Request:
    """A complete HTTP/1.1 request and the status that counts as right."""

    content: bytes
    status: int = 200
    kind: str = ""


@dataclass(frozen=True)
class Pace:
    """Requests in this order, each once, `rate_per_s` on average; a longer run begins again with the first.

    ValueError for what a Plan refuses: an address that is not loopback, no request, no end.
    """

    host: str
    port: int
    requests: Sequence[Request]
    rate_per_s: float
    seconds: float
    connections: int = 128
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= MAX_RATE:
            raise ValueError(f"rate_per_s must be above 0 and at most {MAX_RATE:g}, not {self.rate_per_s:g}")
        if not 0 < self.connections <= MAX_CONNECTIONS:
            raise ValueError(f"connections must be above 0 and at most {MAX_CONNECTIONS}, not {self.connections:g}")
        self.plan  # noqa: B018 (refuses the rest)

    @property
    def plan(self) -> Plan:
        contents = [request.content for request in self.requests]
        return Plan(self.host, self.port, contents, connections=1, seconds=self.seconds, seed=self.seed)

    def to_json(self) -> str:
        requests = [[base64.b64encode(each.content).decode(), each.status] for each in self.requests]
        return json.dumps(asdict(self) | {"requests": requests})

    @classmethod
    def from_json(cls, text: str) -> "Pace":
        values: dict[str, Any] = json.loads(text)
        requests = [Request(base64.b64decode(content), status) for content, status in values["requests"]]
        return cls(**values | {"requests": requests})


@dataclass
class OpenRun(Run):
    """`waiting` holds what is due and found no connection; `idle` the connections that have nothing under way."""

    waiting: deque[tuple[float, Request]] = field(default_factory=deque)
    idle: list["OpenConnection"] = field(default_factory=list)
    opened: int = 0
    wrong: int = 0
    done_sending: bool = False
    connections: list["OpenConnection"] = field(default_factory=list)

    def end_one(self) -> None:
        self.under_way -= 1
        if self.under_way == 0 and self.done_sending:
            self.over.set()

    def record(self, request: Request, due: float, status: int) -> None:
        """Called at the end of every request that was sent; status 0 when its connection broke."""


class OpenConnection(Connection):
    """Takes the request that has waited longest; without one it is idle until it is given one."""

    def __init__(self, run: OpenRun) -> None:
        super().__init__(run)
        self.open_run = run
        self.request = Request(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.open_run.connections.append(self)
        self.send()

    def send(self) -> None:
        run = self.open_run
        if self.transport is None:
            return
        if not run.waiting:
            run.idle.append(self)
            return
        self.started, self.request = run.waiting.popleft()
        run.sent += 1
        self.transport.write(self.request.content)

    def complete(self, started: float) -> None:
        self.open_run.wrong += self.status != self.request.status
        self.open_run.record(self.request, started, self.status)
        super().complete(started)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.started is not None:
            self.open_run.record(self.request, self.started, 0)
        if self in self.open_run.idle:
            self.open_run.idle.remove(self)
        self.open_run.connections.remove(self)
        self.open_run.opened -= 1
        super().connection_lost(exc)


async def offer(run: OpenRun, pace: Pace, due: float, request: Request) -> None:
    """Hands the request to an idle connection, or to one that is opened for it, or lets it wait."""
    run.under_way += 1
    run.waiting.append((due, request))
    if run.idle:
        run.idle.pop().send()
    elif run.opened < pace.connections:
        run.opened += 1
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: OpenConnection(run), run.plan.host, run.plan.port)
        except OSError:
            run.opened -= 1


Pick = Callable[[Sequence[OpenRun]], OpenRun]
"""Which of several servers gets the next request."""


def first(runs: Sequence[OpenRun]) -> OpenRun:
    return runs[0]


async def arrive(runs: Sequence[OpenRun], pace: Pace, requests: Iterator[Request], pick: Pick = first) -> None:
    """Offers the requests by a Poisson process until the deadline of the first run, which may be moved meanwhile."""
    random = Random(pace.seed)  # noqa: S311 (reproducible arrivals, no secret)
    due = time.perf_counter() + random.expovariate(pace.rate_per_s)
    while due < runs[0].deadline:
        moment = time.perf_counter()
        if moment < due:
            await asyncio.sleep(min(due - moment, NAP_SECONDS))
            continue
        began = moment if moment - due < TICKS_SECONDS else due
        await offer(pick(runs), pace, began, next(requests))
        due += random.expovariate(pace.rate_per_s)


async def drain(runs: Sequence[OpenRun], until: float) -> None:
    """Awaits what is under way until this moment; what is then not answered is lost. Closes every connection."""
    for run in runs:
        run.done_sending = True
        if run.under_way == 0:
            run.over.set()
    try:
        async with asyncio.timeout(until - time.perf_counter()):
            for run in runs:
                await run.over.wait()
    except TimeoutError:
        for run in runs:
            run.lost += run.under_way
    for connection in [each for run in runs for each in run.connections]:
        connection.started = None
        connection.fail()


async def drive(pace: Pace, others: Sequence[int] = (), pick: Pick = first) -> Report:
    """Runs the pace to its end, spread over its port and the `others`. A request whose answer never came is lost."""
    runs = [OpenRun(replace(pace, port=port).plan) for port in (pace.port, *others)]
    used, start = time.process_time(), time.perf_counter()
    deadline = start + pace.seconds
    for run in runs:
        run.deadline = deadline
    await arrive(runs, pace, itertools.cycle(pace.requests), pick)
    await drain(runs, deadline + DRAIN_SECONDS)
    used, end = time.process_time() - used, time.perf_counter()
    return Report.of(
        [latency for run in runs for latency in run.latencies_s],
        statuses=sum((run.statuses for run in runs), Counter[int]()),
        wrong_status=sum(run.wrong for run in runs),
        lost=sum(run.lost for run in runs),
        within=sum(run.within for run in runs),
        elapsed_s=pace.seconds,
        body_bytes=sum(run.body_bytes for run in runs),
        busy=used / (end - start),
    )


def main() -> None:
    report = uvloop.run(drive(Pace.from_json(sys.stdin.read())))
    sys.stdout.write(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
