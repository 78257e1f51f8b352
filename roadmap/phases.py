"""What each phase promises, what stands in it, and when to move there: `phases.toml` as values.

Units are in the names. `None` is a figure that the strategy does not give; it never means zero.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from roadmap.reader import RoadmapError, Rule, read_plain, read_table, read_toml

PHASES_FILE = Path(__file__).with_name("phases.toml")

Count = Annotated[int, Rule(lambda n: n >= 1, "must be at least 1")]
CountOrNone = Annotated[int, Rule(lambda n: n >= 0, "must not be negative")]
Positive = Annotated[float, Rule(lambda x: 0 < x < math.inf, "must be above 0 and finite")]
Share = Annotated[float, Rule(lambda x: 0 < x < 1, "must lie between 0 and 1, both excluded")]
Text = Annotated[str, Rule(lambda text: text.strip(), "must not be empty")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds in every phase. All three are our reading of the strategy, which states none of them."""

    percentile: Literal["p95"]
    """The percentile that a "response time" target means; `Targets.p95_ms` is named after it."""
    think_time_s: Positive
    """Mean pause of one user between two requests."""
    mean_load_share: Share
    """Mean load over a month as a share of the peak; only the bill uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A monthly cost the strategy allows, and the table of the strategy that says so: its tables do not agree."""

    usd_per_month: Count
    source: Literal["targets table", "cost table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The promise of a phase. `inherits` names the phase whose figures stand wherever this one gives none."""

    users: Count
    """Concurrent users, each a person who thinks `Facts.think_time_s` between requests."""
    open_ended: bool
    """The strategy writes "+": `users` and `database_gb` are the least, not the most."""
    p95_ms: Count
    availability: Share
    database_gb: Count
    """Decimal gigabytes up to which the phase is meant."""
    budgets: tuple[Budget, ...]
    """The highest first; both are checked wherever there are two. Empty where the strategy gives none."""
    inherits: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What must exist. Counts hold for one region, those of PostgreSQL for one shard."""

    api_servers: Count | None
    """None where the phase is autoscaled: the load decides."""
    services: Count
    """Deployments the rooms are spread over; 1 is all rooms in one."""
    autoscaled: bool
    load_balancer: bool
    postgres_shards: Count | None
    """None where there are several and the strategy does not say how many."""
    postgres_primaries: Count
    postgres_replicas: CountOrNone
    """In the region of their primary."""
    postgres_cross_region_replicas: CountOrNone
    valkey_nodes: CountOrNone
    cdn: bool
    queue: bool
    workers: bool
    regions: Count
    schema: Literal["0001", "head"]
    """The Alembic revision a phase runs on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is switched on. Each feature needs something of the topology (see `_NEEDS`)."""

    indexes: bool
    cache: bool
    """Valkey behind the cache that every process has of its own."""
    shared_rate_limits: bool
    """Counted in Valkey for all servers together, instead of in each process."""
    read_replicas: bool
    automatic_failover: bool
    events: bool
    """Carried by the queue to the workers."""
    sharding: bool
    region_failover: bool


_NEEDS: dict[str, tuple[Callable[[Topology], bool], str]] = {
    "indexes": (lambda t: t.schema == "head", 'needs topology.schema = "head"'),
    "cache": (lambda t: t.valkey_nodes > 0, "needs topology.valkey_nodes"),
    "shared_rate_limits": (lambda t: t.valkey_nodes > 0, "needs topology.valkey_nodes"),
    "read_replicas": (lambda t: t.postgres_replicas > 0, "needs topology.postgres_replicas"),
    "automatic_failover": (lambda t: t.postgres_replicas > 0, "needs topology.postgres_replicas"),
    "events": (lambda t: t.queue and t.workers, "needs topology.queue and topology.workers"),
    "sharding": (lambda t: t.postgres_shards != 1, "needs more than one of topology.postgres_shards"),
    "region_failover": (lambda t: t.regions > 1, "needs more than one of topology.regions"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a load gate asks beyond the targets. `None` asks nothing."""

    rows: Count
    """Tasks in the database."""
    min_samples: Count
    """Answers of the prober, without which there is no verdict."""
    hit_ratio: Share | None
    """At least this share of the answers that could come from the cache does."""
    statements_per_request: Positive | None
    """SQL, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    name: str
    targets: Targets
    topology: Topology
    features: Features
    gate: Gate | None
    """None where the phase is not run at full size on one machine, but predicted."""
    facts: Facts
    """The same object in every phase, so that a phase can be handed on alone."""

    @property
    def peak_requests_per_s(self) -> float:
        return self.targets.users / self.facts.think_time_s

    @property
    def mean_requests_per_s(self) -> float:
        return self.peak_requests_per_s * self.facts.mean_load_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A row of "when to scale". `comparison` and `threshold` are both None where the strategy gives no figure."""

    wording: Text
    """The strategy's own."""
    signal: Literal["p95_ms", "cpu_share", "slow_queries", "downtime_share", "users_in_other_regions", "users"]
    """Gives the unit of `threshold` too: milliseconds, shares of 1, persons."""
    comparison: Literal[">", ">="] | None
    threshold: Positive | None
    to: str
    """The phase to move to."""
    brings: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Roadmap:
    facts: Facts
    phases: tuple[Phase, ...]
    """In the order in which a platform goes through them."""
    when_to_scale: tuple[Trigger, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(phase.name for phase in self.phases)

    def phase(self, name: str) -> Phase:
        """Raises RoadmapError for an unknown name, with the known ones."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise RoadmapError(f"phases.{name}", f"no such phase; there are {', '.join(self.names)}")

    def triggers_into(self, name: str) -> tuple[Trigger, ...]:
        return tuple(trigger for trigger in self.when_to_scale if trigger.to == name)


def load(path: Path | None = None) -> Roadmap:
    """The roadmap in `path`, by default the one beside this module. Raises RoadmapError and nothing else."""
    try:
        text = (path or PHASES_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise RoadmapError("", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RoadmapError("", f"cannot be read: {error}") from error
    return parse(text)


def parse(text: str) -> Roadmap:
    """The roadmap in a TOML text. Raises RoadmapError for the first fault in it."""
    document = read_toml(text)
    rows = read_plain(dict, document.pop("phases", None), "phases")
    _check_order(tuple(rows))
    facts = read_table(Facts, document.get("facts"), "facts")
    roadmap = read_table(Roadmap, document, "", phases=tuple(_read_phases(rows, facts)))
    for key, reason in _faults(roadmap):
        raise RoadmapError(key, reason)
    return roadmap


def _check_order(names: tuple[str, ...]) -> None:
    expected = ("current", *(str(number) for number in range(1, len(names))))
    if names != expected:
        raise RoadmapError("phases", f"must be {', '.join(expected)} in this order, are {', '.join(names) or 'none'}")


def _read_phases(rows: dict[str, Any], facts: Facts) -> Iterator[Phase]:
    """Targets that inherit are filled from the earlier phase they name before they are read."""
    filled: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        at = f"phases.{name}"
        targets = read_plain(dict, read_plain(dict, row, at).get("targets"), f"{at}.targets")
        base = targets.get("inherits")
        if base is not None and base not in list(filled):  # a list: base may be of any type, even one without a hash
            raise RoadmapError(f"{at}.targets.inherits", f"must name an earlier phase, is {base!r}")
        filled[name] = targets if base is None else {**filled[base], **targets}
        yield read_table(Phase, {**row, "targets": filled[name]}, at, name=name, facts=facts)


def _faults(roadmap: Roadmap) -> Iterator[tuple[str, str]]:
    """Key and reason of everything that only shows between keys."""
    for phase in roadmap.phases:
        yield from ((f"phases.{phase.name}.{key}", reason) for key, reason in _faults_within(phase))
    for before, after in pairwise(roadmap.phases):
        if after.targets.users < before.targets.users:
            reason = f"must not fall below the {before.targets.users} of phase {before.name}, is {after.targets.users}"
            yield f"phases.{after.name}.targets.users", reason
    for index, trigger in enumerate(roadmap.when_to_scale):
        if trigger.to not in roadmap.names[1:]:
            yield f"when_to_scale.{index}.to", f"must be one of {', '.join(roadmap.names[1:])}, is {trigger.to!r}"
        if (trigger.comparison is None) != (trigger.threshold is None):
            yield f"when_to_scale.{index}.threshold", "must be given together with comparison, or neither"


def _faults_within(phase: Phase) -> Iterator[tuple[str, str]]:
    topology = phase.topology
    for higher, lower in pairwise(phase.targets.budgets):
        if lower.usd_per_month >= higher.usd_per_month or lower.source == higher.source:
            yield "targets.budgets", "must come from different tables, the highest first"
    if (topology.api_servers is None) != topology.autoscaled:
        yield "topology.api_servers", "must be given unless autoscaled, and absent if autoscaled"
    if topology.api_servers != 1 and not topology.load_balancer:
        yield "topology.load_balancer", "must be true unless there is exactly one API server"
    for feature, (is_met, reason) in _NEEDS.items():
        if getattr(phase.features, feature) and not is_met(topology):
            yield f"features.{feature}", reason
