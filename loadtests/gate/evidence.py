"""What a gate asks and what was measured while the load was held: the two sides that `judge` compares."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.gate.machine import Usage
from loadtests.gate.scrape import Deltas
from roadmap.phases import Phase

Sample = tuple[float, str, float, bool]
"""Moment of the start (monotonic, s), kind, latency (ms), whether the answer was right."""

UNJUDGED = frozenset({"login", "register"})  # hashing a password is slow on purpose


@dataclass(frozen=True)
class Limits:
    """Beyond these the rig was unfit, and no figure proves anything. Shares of 1 but for `agreement_ms`.

    A generator that waits for its core adds that to what it measures. The two generators are two witnesses of the same
    moments: they must tell the same p95, within the greater of both agreements.
    """

    generator_core: float = 0.60
    achieved: float = 0.95
    agreement_ms: float = 10.0
    agreement: float = 0.25
    neighbours: float = 0.10


@dataclass(frozen=True)
class Asked:
    """What the phase promises, at `users` people. `error_rate` is what its availability leaves."""

    phase: str
    users: int
    think_s: float
    p95_ms: float
    error_rate: float
    min_samples: int
    hit_ratio: float | None = None
    statements_per_request: float | None = None
    limits: Limits = field(default_factory=Limits)
    block_s: float = 5.0
    seed: int = 1

    @classmethod
    def of(cls, phase: Phase, *, users: int | None = None, seed: int = 1) -> "Asked":
        """ValueError for a phase without a gate."""
        if phase.gate is None:
            raise ValueError(f"phase {phase.name} has no gate")
        return cls(
            phase=phase.name,
            users=users or phase.targets.users,
            think_s=phase.facts.think_time_s,
            p95_ms=phase.targets.p95_ms,
            error_rate=round(1 - phase.targets.availability, 9),
            min_samples=phase.gate.min_samples,
            hit_ratio=phase.gate.hit_ratio,
            statements_per_request=phase.gate.statements_per_request,
            seed=seed,
        )


@dataclass(frozen=True)
class Held:
    """The hold: `seconds` from the moment `start`. Samples are of requests that began within it, of both generators.

    `unaccounted`: requests that were sent and are neither answered nor known as lost.
    """

    start: float
    seconds: float
    crowd: Sequence[Sample]
    probe: Sequence[Sample]
    usage: Usage
    server: Deltas | None
    unaccounted: int

    @property
    def errors(self) -> int:
        return sum(not right for *_, right in (*self.crowd, *self.probe))

    @property
    def judged(self) -> list[Sample]:
        return [sample for sample in self.probe if sample[1] not in UNJUDGED]

    @property
    def rate_per_s(self) -> float:
        """Answers of the crowd within the hold, a second."""
        end = self.start + self.seconds
        return sum(began + latency_ms / 1000 <= end for began, _, latency_ms, _ in self.crowd) / self.seconds
