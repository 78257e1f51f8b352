"""The prober whose percentiles are judged: open loop, Poisson arrivals, latency from the moment a request was due.

A process of its own beside the crowd, with people of its own who ask by the same mix but for registrations and logins.
It sends no conditional requests, so its answers are whole. Reads one JSON object on stdin: {"host", "port", "people",
"rate_per_s", "seed"}, and goes on until the next line or the end of stdin. Writes one object a second on stdout:
{"sent", "oldest", "samples"} as the crowd does; after the end it waits for what is under way, and the last line has
"done".
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import uvloop

from loadtests.driver import DRAIN_SECONDS
from loadtests.mix import READS, WRITES, Ask, Person, ask, case
from loadtests.paced import OpenRun, Pace, Request, arrive, drain
from loadtests.personas import PERSONAS, kinds_of

KINDS = {kind: share for kind, share in kinds_of(*PERSONAS).items() if kind in {*READS, *WRITES, "admin"}}
CONNECTIONS = 256
LONGEST_S = 7_200.0
Sample = tuple[float, str, float, bool]
"""Moment at which it was due (monotonic, s), kind, latency (ms), whether the answer was right."""


@dataclass(frozen=True)
class Place:
    """Whom to ask, how often, and who asks."""

    host: str
    port: int
    rate_per_s: float
    people: list[Person]
    administrators: list[Person]
    seed: int

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Place":
        """Takes people from the end of the file: the crowd takes its own from the front."""
        known = json.loads(Path(given["people"]).read_text())
        people = [Person(p["id"], p["token"], p["deletable"], p["tasks"]) for p in known["people"] if p["tasks"]]
        share = min(len(people) // 2, 1_000)
        administrators = [Person(p["id"], p["token"], [], [0]) for p in known["administrators"]]
        return cls(given["host"], given["port"], given["rate_per_s"], people[-share:], administrators, given["seed"])


def requests(place: Place) -> Iterator[Request]:
    random = Random(place.seed)  # noqa: S311 (reproducible, no secret)
    while True:
        (kind,) = random.choices([*KINDS], [*KINDS.values()])
        if kind == "admin":
            administrator = random.choice(place.administrators)
            yield Ask(case(kind, random), administrator, 0).to(place.port)
        else:
            yield ask(kind, random.choice(place.people), random).to(place.port)


@dataclass
class ProbeRun(OpenRun):
    samples: list[Sample] = field(default_factory=list)

    def record(self, request: Request, due: float, status: int) -> None:
        latency_ms = (time.perf_counter() - due) * 1000
        self.samples.append((round(due, 4), request.kind, round(latency_ms, 3), status == request.status))

    def line(self, **more: object) -> None:
        taken, self.samples = self.samples, []
        # Not `sent` alone: one that waits for a connection was asked for as well.
        due = [each.started for each in self.connections if each.started is not None]
        oldest = min([*due, *(moment for moment, _ in self.waiting)], default=None)
        line = {"sent": self.sent + len(self.waiting), "oldest": oldest, "samples": taken, **more}
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.line()


async def probe(place: Place) -> None:
    pace = Pace(place.host, place.port, [Request(b"")], place.rate_per_s, 1.0, connections=CONNECTIONS, seed=place.seed)
    run = ProbeRun(pace.plan, deadline=time.perf_counter() + LONGEST_S)
    ticking = asyncio.create_task(run.tick())

    def end() -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        run.deadline = time.perf_counter()

    asyncio.get_running_loop().add_reader(sys.stdin, end)
    await arrive([run], pace, requests(place))
    await drain([run], time.perf_counter() + DRAIN_SECONDS)
    ticking.cancel()
    run.line(done=True, lost=run.lost)


def main() -> None:
    uvloop.run(probe(Place.of(json.loads(sys.stdin.readline()))))


if __name__ == "__main__":
    main()
