"""A closed-loop HTTP/1.1 load driver in a process of its own, for comparisons on one machine.

Each of C keep-alive connections sends the next prebuilt request as soon as its answer has come. It ends after N
seconds or N requests, whichever is first; what is then under way is awaited for a bounded time. It speaks to loopback
addresses only. Answers must carry Content-Length; anything else, a lost connection included, is a failure.

`python -m loadtests.driver` reads one Plan as JSON on stdin and prints one Report as JSON.
"""

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network, IPv6Address, ip_address
from random import Random
from typing import Any, cast

import uvloop

from loadtests.stats import quantile

MAX_CONNECTIONS = 1_024
MAX_SECONDS = 600.0
MAX_REQUESTS = 10_000_000
DRAIN_SECONDS = 5.0
LOOPBACK = IPv4Network("127.0.0.0/8")
HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True)
class Plan:
    """What to send where. Requests are complete HTTP/1.1 requests; `expect` is the status that counts as right.

    The requests are shuffled once by the seed and then sent in turn, over all connections together. ValueError for an
    address outside 127.0.0.0/8 and ::1 (names are refused too: they can be made to mean anything), and for a plan
    without an end.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    connections: int = 16
    seconds: float = 2.0
    max_requests: int = MAX_REQUESTS
    expect: int = 200
    seed: int = 1

    def __post_init__(self) -> None:
        address = ip_address(self.host)
        if address not in LOOPBACK and address != IPv6Address("::1"):
            raise ValueError(f"{self.host} is not a loopback address: this driver measures this machine only")
        if not self.requests:
            raise ValueError("a plan needs at least one request")
        for name, value, most in (
            ("connections", self.connections, MAX_CONNECTIONS),
            ("seconds", self.seconds, MAX_SECONDS),
            ("max_requests", self.max_requests, MAX_REQUESTS),
        ):
            if not 0 < value <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, not {value:g}")

    def to_json(self) -> str:
        return json.dumps(
            asdict(self) | {"requests": [base64.b64encode(request).decode() for request in self.requests]}
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        values: dict[str, Any] = json.loads(text)
        return cls(**values | {"requests": [base64.b64decode(request) for request in values["requests"]]})


@dataclass(frozen=True)
class Report:
    """What was measured.

    `answered` counts every whole answer, the drained ones too; `rate_per_s` counts those within the time only. A
    request that never got a whole answer is in `lost`. `busy` is the driver's own CPU share of one core.
    """

    answered: int
    wrong_status: int
    lost: int
    statuses: dict[str, int]
    elapsed_s: float
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    body_bytes: int
    busy: float

    @classmethod
    def of(  # noqa: PLR0913 (what a generator counts)
        cls,
        latencies_s: Sequence[float],
        *,
        statuses: Mapping[int, int],
        wrong_status: int,
        lost: int,
        within: int,
        elapsed_s: float,
        body_bytes: int,
        busy: float,
    ) -> "Report":
        """`latencies_s` of every whole answer, in any order; `within` of them came within the time."""
        ordered = sorted(latencies_s) or [0.0]
        return cls(
            answered=len(latencies_s),
            wrong_status=wrong_status,
            lost=lost,
            statuses={str(status): count for status, count in sorted(statuses.items())},
            elapsed_s=elapsed_s,
            rate_per_s=within / elapsed_s,
            p50_ms=quantile(ordered, 0.50) * 1_000,
            p95_ms=quantile(ordered, 0.95) * 1_000,
            p99_ms=quantile(ordered, 0.99) * 1_000,
            max_ms=ordered[-1] * 1_000,
            body_bytes=body_bytes,
            busy=busy,
        )

    @property
    def clean(self) -> bool:
        return self.answered > 0 and self.wrong_status == 0 and self.lost == 0


@dataclass
class Run:
    """The state that all connections share; `over` is set when nothing is under way any more."""

    plan: Plan
    over: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: float = 0.0
    sent: int = 0
    under_way: int = 0
    within: int = 0
    lost: int = 0
    body_bytes: int = 0
    last: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.requests = list(self.plan.requests)
        Random(self.plan.seed).shuffle(self.requests)  # noqa: S311 (a reproducible order, no secret)

    def take(self, moment: float) -> bytes | None:
        """The next request, or None when the plan is done."""
        if self.sent >= self.plan.max_requests or moment >= self.deadline:
            return None
        request = self.requests[self.sent % len(self.requests)]
        self.sent += 1
        self.under_way += 1
        return request

    def end_one(self) -> None:
        self.under_way -= 1
        if self.under_way == 0:
            self.over.set()


def read_head(head: bytes) -> tuple[int, int]:
    """Status and Content-Length. ValueError when either is missing or no number: this driver reads no chunks."""
    lowered = head.lower()
    place = lowered.index(LENGTH) + len(LENGTH)
    return int(lowered[9:12]), int(lowered[place:].split(b"\r\n", 1)[0])


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.status = 0
        self.awaited = 0  # bytes of the whole answer, 0 while its head is incomplete
        self.started: float | None = None
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # For TCP it is one; uvloop's own class does not say so to isinstance.
        self.transport = cast("asyncio.WriteTransport", transport)

    def send(self) -> None:
        if self.transport is None:
            return
        moment = time.perf_counter()
        request = self.run.take(moment)
        if request is not None:
            self.started = moment
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if self.started is None:
            self.run.lost += 1  # nobody asked: what it belongs to cannot be told
            self.fail()
            return
        if self.awaited == 0:
            head = self.buffer.find(HEAD_END)
            if head < 0:
                return
            try:
                self.status, length = read_head(self.buffer[:head])
            except ValueError:
                self.fail()
                return
            self.run.body_bytes += length
            self.awaited = head + len(HEAD_END) + length
        if len(self.buffer) > self.awaited:
            self.fail()
        elif len(self.buffer) == self.awaited:
            self.complete(self.started)

    def complete(self, started: float) -> None:
        run, moment = self.run, time.perf_counter()
        run.statuses[self.status] += 1
        run.latencies_s.append(moment - started)
        if moment <= run.deadline:
            run.within += 1
            run.last = moment
        self.buffer, self.awaited, self.started = b"", 0, None
        # Send first: `over` must not be set while this connection still has something to ask.
        self.send()
        run.end_one()

    def fail(self) -> None:
        """The answer cannot be understood: give the connection up; connection_lost counts the loss."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's signature)
        self.transport = None
        if self.started is not None:
            self.started = None
            self.run.lost += 1
            self.run.end_one()


async def drive(plan: Plan) -> Report:
    """Runs the plan to its end. OSError when the server cannot be reached."""
    run = Run(plan)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(run), plan.host, plan.port))[1]
        for _ in range(plan.connections)
    ]
    used, start = time.process_time(), time.perf_counter()
    run.deadline = start + plan.seconds
    for connection in connections:
        connection.send()
    if run.under_way == 0:
        run.over.set()
    try:
        await asyncio.wait_for(run.over.wait(), plan.seconds + DRAIN_SECONDS)
    except TimeoutError:
        run.lost += run.under_way
    used, end = time.process_time() - used, time.perf_counter()
    for connection in connections:
        connection.started = None
        if connection.transport is not None:
            connection.transport.abort()
    by_count = run.sent >= plan.max_requests and run.last > 0
    elapsed = run.last - start if by_count else plan.seconds
    return Report.of(
        run.latencies_s,
        statuses=run.statuses,
        wrong_status=len(run.latencies_s) - run.statuses[plan.expect],
        lost=run.lost,
        within=run.within,
        elapsed_s=elapsed,
        body_bytes=run.body_bytes,
        busy=used / (end - start),
    )


def main() -> None:
    report = uvloop.run(drive(Plan.from_json(sys.stdin.read())))
    sys.stdout.write(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
