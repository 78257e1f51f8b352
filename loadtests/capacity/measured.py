"""What was measured, as values and as the JSON file that is kept: the only thing a prediction is made of."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from loadtests.capacity.quiet import CALM
from loadtests.capacity.simulate import Fleet, Routing
from roadmap.reader import RoadmapError, read_plain, read_table

SCHEMA = 1
# Repetitions of a step whose median is worth more than that of all of them.
ENOUGH = 3
# A busier generator adds its own waiting to what it measures.
GENERATOR_LIMIT = 0.6


class MeasuredError(ValueError):
    """The file holds no measurement that this version understands; the text says where."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One run of the open-loop generator against `servers` alike servers.

    `load` is the busy share that was aimed at, `busy` the one that came out. `service_ms` is the server's own time a
    request: CPU of the product, or how long an emulated worker was taken. `neighbours` is the share of the machine
    that whatever is no part of the measurement used. `unanswered`: requests without a whole answer or with a wrong one.
    """

    round: int
    load: float
    servers: int
    routing: str
    seconds: float
    answered: int
    unanswered: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    busy: float
    service_ms: float
    generator_busy: float
    neighbours: float

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.servers, 1, Routing(self.routing))

    @property
    def faults(self) -> list[str]:
        """Why this run proves nothing; empty when it does."""
        where = f"{self.servers} server(s), load {self.load:g}, round {self.round}"
        found = []
        if self.unanswered or not self.answered:
            found.append(f"{where}: {self.answered} answers, {self.unanswered} requests without a right one")
        if self.generator_busy >= GENERATOR_LIMIT:
            found.append(f"{where}: the generator used {self.generator_busy:.0%} of its core")
        return found


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run cost the database, by request. `held_ms` is the time in statements, the commits' waiting for the disk
    included; `row_writes` are INSERT, UPDATE and DELETE statements.
    """

    round: int
    answered: int
    unanswered: int
    cpu_ms: float
    statements: float
    row_writes: float
    commits: float
    held_ms: float


@dataclass(frozen=True, kw_only=True)
class Setup:
    """`rounds` of `seconds` each; `tasks` of `users` in the database; pool sizes are those of one server process."""

    made_at: str
    processor: str
    cores: int
    python: str
    rounds: int
    seconds: float
    seed: int
    users: int
    tasks: int
    ttl_s: float
    read_pool: int
    write_pool: int
    emulated_mean_ms: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`product`: steps of one real server, with `mixed` beside each of them. `writes`: the database's work when there
    is nothing but writes. `emulated`: steps of one emulated server and of several.
    """

    setup: Setup
    write_share: float
    capacity_per_s: float
    product: tuple[Step, ...]
    mixed: tuple[Work, ...]
    writes: tuple[Work, ...]
    emulated: tuple[Step, ...]

    @property
    def problems(self) -> list[str]:
        """Why the rig was unfit; empty when it was not. Steps that were set aside are not asked."""
        used = [step for steps in (*alike(self.product), *alike(self.emulated)) for step in steps]
        found = [fault for step in used for fault in step.faults]
        return found + [
            f"writes alone, round {work.round}: {work.unanswered} requests without a right answer"
            for work in self.writes
            if work.unanswered
        ]

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, "label": "measured"} | asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Measured":
        """MeasuredError for what is not one."""
        try:
            values = read_plain(dict, json.loads(text), "measured")
            if values.pop("schema", None) != SCHEMA or values.pop("label", None) != "measured":
                raise MeasuredError(f"not a measurement of schema {SCHEMA}")
            return read_table(cls, values, "")
        except (json.JSONDecodeError, RoadmapError) as error:
            raise MeasuredError(str(error)) from error

    @classmethod
    def read(cls, path: Path) -> "Measured":
        """MeasuredError when there is no such file, too."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise MeasuredError(f"{path} cannot be read: {error}") from error

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json() + "\n", encoding="utf-8")


def alike(steps: Sequence[Step]) -> list[list[Step]]:
    """The repetitions of each fleet and load, in ascending order; those that neighbours disturbed are set aside where
    enough others remain.
    """
    found: dict[tuple[int, str, float], list[Step]] = {}
    for step in sorted(steps, key=lambda each: (each.servers, each.routing, each.load, each.round)):
        found.setdefault((step.servers, step.routing, step.load), []).append(step)
    return [undisturbed(each) for each in found.values()]


def undisturbed(steps: Sequence[Step]) -> list[Step]:
    """By what neighbours used of the machine, never by what came out: those within CALM, or all where they are fewer
    than ENOUGH.
    """
    calm = [step for step in steps if step.neighbours <= CALM]
    return calm if len(calm) >= ENOUGH else list(steps)


def middle(of: Sequence[Step], figure: Callable[[Step], float]) -> float:
    return median([figure(step) for step in of])
