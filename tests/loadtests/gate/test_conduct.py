"""The course: how long a load is held, when it is raised, and what is said of the knee."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from loadtests.gate.conduct import HOLDS, Conductor, Course, Schedule, Stage, knee
from loadtests.gate.evidence import Asked, Limits, Sample
from loadtests.gate.generators import Generator
from loadtests.gate.judge import Verdict
from loadtests.gate.machine import Cores, Usage

UNLIMITED = Limits(generator_core=2.0, achieved=0.0, agreement_ms=1e6, neighbours=2.0)
ASKED = Asked("1", users=100, think_s=10, p95_ms=50, error_rate=0.01, min_samples=10, limits=UNLIMITED, block_s=0.02)
SCHEDULE = Schedule(ramp_s=0.1, settle_s=0.1, hold_s=0.3, step_s=0.2, steps=3, recovery_s=0.2)
QUIET = Usage(core=0.2, neighbours=0.0, cpu_s={})
Latency = Callable[[float, int], float]
"""Of a moment and so many users, in ms."""


@dataclass
class Scripted:
    """A generator that has always answered, a thousand times a second, as the script says."""

    latency_ms: Latency
    users: int = 0
    unaccounted: int = 0
    asked: list[int] = field(default_factory=list)
    samples: Sequence[Sample] = ()

    def say(self, what: dict[str, Any]) -> None:
        self.users = what["users"]
        self.asked.append(self.users)

    def window(self, start: float, end: float) -> list[Sample]:
        moments = [number / 1000 for number in range(int(start * 1000), int(end * 1000))]
        return [(moment, "list", self.latency_ms(moment, self.users), True) for moment in moments]

    def check(self) -> None:
        pass

    def seen(self, _moment: float) -> bool:
        return True

    def finish(self) -> None:
        pass


def conducted(latency_ms: Latency, asked: Asked = ASKED) -> tuple[Course, Scripted]:
    crowd, told = Scripted(latency_ms), list[str]()
    probe = Scripted(lambda moment, _users: latency_ms(moment, crowd.users))
    two = (cast("Generator", crowd), cast("Generator", probe))
    cores = Cores.of_this_machine()
    return Conductor(asked, SCHEDULE, *two, pids={}, cores=cores, scrape=None, say=told.append).run(), crowd


def test_a_load_that_is_borne_is_raised_until_the_knee_and_lowered_again() -> None:
    course, crowd = conducted(lambda _moment, users: 10.0 if users < 150 else 80.0)
    assert course.judgement is not None
    assert course.judgement.verdict == Verdict.PASS
    assert crowd.asked == [100, 125, 156, 100]
    assert [stage.name for stage in course.stages] == ["ramp", "warm-up", "hold", "step 1", "step 2", "recovery"]
    assert course.knee == "up to 125 users; at 156 p95 is 80 ms"


def test_a_load_that_is_not_borne_is_not_raised() -> None:
    course, crowd = conducted(lambda _moment, _users: 80.0)
    assert course.judgement is not None
    assert course.judgement.verdict == Verdict.FAIL
    assert crowd.asked == [100]
    assert course.knee == "below 100 users; at 100 p95 is 80 ms"


def test_the_hold_goes_on_three_times_at_most_while_the_target_is_straddled() -> None:
    """One block in fifteen is slow: whether p95 is depends on how often a resample draws it."""
    course, _ = conducted(lambda moment, _users: 80.0 if int(moment / 0.02) % 15 == 0 else 10.0)
    assert course.judgement is not None
    assert course.judgement.verdict == Verdict.INCONCLUSIVE
    (hold,) = (stage for stage in course.stages if stage.name == "hold")
    assert hold.end - hold.start >= HOLDS * SCHEDULE.hold_s
    short, _ = conducted(lambda _moment, _users: 10.0)
    (hold,) = (stage for stage in short.stages if stage.name == "hold")
    assert hold.end - hold.start < HOLDS * SCHEDULE.hold_s


def test_an_unfit_rig_is_not_asked_for_more() -> None:
    course, crowd = conducted(lambda _moment, _users: 10.0, replace(ASKED, min_samples=10**6))
    assert course.judgement is not None
    assert course.judgement.verdict == Verdict.INVALID
    assert crowd.asked == [100]


@pytest.mark.parametrize(
    ("usage", "samples", "reason"),
    [
        (QUIET, [(1.0, "list", 10.0, True)] * 100, ""),
        (QUIET, [(1.0, "list", 60.0, True)] * 100, "p95 is 60 ms"),
        (QUIET, [(1.0, "list", 10.0, number > 4) for number in range(100)], "5.0% of the answers are errors"),
        (QUIET, [], "nothing was answered"),
        (replace(QUIET, core=0.7), [(1.0, "list", 60.0, True)] * 100, "the generator's core is 70% busy"),
    ],
)
def test_why_a_load_is_too_much(usage: Usage, samples: list[Sample], reason: str) -> None:
    stage = Stage("step 1", 125, 0.0, 10.0, usage, samples, samples)
    found = knee(replace(ASKED, limits=Limits()), stage)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_without_steps_a_load_that_was_borne_says_nothing_of_the_knee() -> None:
    assert Course(ASKED, time.monotonic(), [Stage("hold", 100, 0.0, 1.0, QUIET, (), ())]).knee == ""
