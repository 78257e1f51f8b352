"""The course of a run: warm up, ramp, hold, judge, step to the knee, recover. Says how it goes while it goes."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from loadtests.doors import Say
from loadtests.gate.evidence import Asked, Held, Sample
from loadtests.gate.generators import Generator
from loadtests.gate.judge import Judgement, Verdict, judge, p95_of
from loadtests.gate.machine import Cores, Reading, Usage, read, usage
from loadtests.gate.scrape import Samples, deltas

GROWTH = 1.25
HOLDS = 3
SAY_EVERY_S = 5.0
LOOK_BACK_S = 10.0
TICK_S = 0.25


@dataclass(frozen=True)
class Schedule:
    """Seconds of each stage. `steps` is the most of them, each 25 % above the one before."""

    ramp_s: float
    settle_s: float
    hold_s: float
    step_s: float = 20.0
    steps: int = 4
    recovery_s: float = 20.0


@dataclass(frozen=True)
class Stage:
    """A part of the run, in seconds of the monotonic clock, and what it showed. `knee`: what ended the steps here."""

    name: str
    users: int
    start: float
    end: float
    usage: Usage
    crowd: Sequence[Sample]
    probe: Sequence[Sample]
    knee: str = ""

    @property
    def rate_per_s(self) -> float:
        return len(self.crowd) / (self.end - self.start)


@dataclass
class Course:
    """Everything of a run. `moments` are (moment, users, busy share of the generators' core), one a second or so;
    `crowd` and `probe` hold every sample, those between stages too.
    """

    asked: Asked
    began: float
    stages: list[Stage] = field(default_factory=list)
    moments: list[tuple[float, int, float]] = field(default_factory=list)
    held: Held | None = None
    judgement: Judgement | None = None
    crowd: Sequence[Sample] = ()
    probe: Sequence[Sample] = ()

    @property
    def knee(self) -> str:
        """What the hold and the steps found, as a sentence; empty when there were no steps and the hold was borne."""
        loads = [stage for stage in self.stages if stage.name == "hold" or stage.name.startswith("step")]
        borne = [stage for stage in loads if not stage.knee]
        for stage in loads:
            if stage.knee:
                where = f"up to {borne[-1].users:,} users" if borne else f"below {stage.users:,} users"
                return f"{where}; at {stage.users:,} {stage.knee}"
        return f"not reached at {loads[-1].users:,} users" if len(loads) > 1 else ""


class Conductor:
    """Runs one course. `pids` are of whatever belongs to the run, by name; `scrape` reads the server's metrics, or is
    None where the server has none.
    """

    def __init__(  # noqa: PLR0913 (everything that takes part)
        self,
        asked: Asked,
        schedule: Schedule,
        crowd: Generator,
        probe: Generator,
        *,
        pids: Mapping[str, int],
        cores: Cores,
        scrape: Callable[[], Samples] | None,
        say: Say,
    ) -> None:
        self.asked, self.schedule, self.crowd, self.probe = asked, schedule, crowd, probe
        self.pids, self.cores, self.scrape, self.say = pids, cores, scrape, say
        self.course = Course(asked, time.monotonic())
        self.last: Reading | None = None
        self.said = 0.0

    def run(self) -> Course:
        asked, schedule = self.asked, self.schedule
        self.set_users(asked.users, schedule.ramp_s)
        self.stage("ramp", asked.users, schedule.ramp_s)
        self.stage("warm-up", asked.users, schedule.settle_s)
        self.hold()
        judgement = self.course.judgement
        # A rig that is unfit at the load that was asked for is no fitter above it, nor does a server that has no more.
        if judgement is not None and judgement.verdict != Verdict.INVALID and not self.course.stages[-1].knee:
            self.step_up()
        self.crowd.finish()
        self.probe.finish()
        self.rejudge()
        self.course.crowd, self.course.probe = self.crowd.samples, self.probe.samples
        return self.course

    def set_users(self, users: int, within_s: float) -> None:
        self.crowd.say({"users": users, "rate": max(1.0, abs(users - self.crowd.users) / max(within_s, 1.0))})

    def wait(self, name: str, until: float, start: float) -> None:
        while (now := time.monotonic()) < until:
            self.crowd.check()
            self.probe.check()
            if now - self.said >= SAY_EVERY_S:
                self.said = now
                self.tell(name, now, start, until)
            time.sleep(min(TICK_S, max(0.0, until - now)))
            self.note()

    def note(self) -> None:
        """One moment a second for the charts."""
        moments = self.course.moments
        now = time.monotonic()
        if moments and now - moments[-1][0] < 1:
            return
        reading = read({}, self.cores)
        core = usage(self.last, reading).core if self.last is not None else 0.0
        self.last = reading
        moments.append((now, self.crowd.users, core))
        gc.freeze()  # a collection of all samples would take the generators' core for a tenth of a second

    def tell(self, name: str, now: float, start: float, until: float) -> None:
        recent, probed = self.crowd.window(now - LOOK_BACK_S, now), self.probe.window(now - LOOK_BACK_S, now)
        span = min(LOOK_BACK_S, now - self.course.began)
        wrong = sum(not right for *_, right in (*recent, *probed))
        core = self.course.moments[-1][2] if self.course.moments else 0.0
        p95s = ", ".join("-" if p95 is None else f"{p95:.1f}" for p95 in (p95_of(recent), p95_of(probed)))
        self.say(
            f"{name:<9} {now - start:4.0f}/{until - start:.0f} s  {self.crowd.users:,} users"
            f"  {len(recent) / span:,.1f}/s  p95 {p95s} ms (Locust, prober)  errors {wrong}  generator core {core:.0%}"
        )

    def stage(self, name: str, users: int, seconds: float, *, skip_s: float = 0.0) -> Stage:
        """Waits through a stage; what happens in its first `skip_s` seconds is not counted."""
        begun = time.monotonic()
        self.wait(name, begun + skip_s, begun)
        before, start = read(self.pids, self.cores), time.monotonic()
        self.wait(name, begun + seconds, begun)
        after, end = read(self.pids, self.cores), time.monotonic()
        self.settle(end)
        made = Stage(
            name, users, start, end, usage(before, after), self.crowd.window(start, end), self.probe.window(start, end)
        )
        self.course.stages.append(made)
        return made

    def settle(self, end: float) -> None:
        """Until the end of all that began before is known: a slow answer left out would flatter the percentile."""
        limit = time.monotonic() + 40
        while not (self.crowd.seen(end) and self.probe.seen(end)) and time.monotonic() < limit:
            self.crowd.check()
            self.probe.check()
            time.sleep(TICK_S)
            self.note()

    def hold(self) -> None:
        """Goes on, at most three times as long as was meant, while the verdict is open."""
        before, start = read(self.pids, self.cores), time.monotonic()
        scraped = self.scrape() if self.scrape else None
        for holds in range(1, HOLDS + 1):
            self.wait("hold", start + self.schedule.hold_s * holds, start)
            stage, held = self.held(start, before, scraped)
            judgement = judge(self.asked, held)
            self.say(f"hold      {held.seconds:.0f} s: {judgement.verdict}")
            self.course.held, self.course.judgement = held, judgement
            if judgement.verdict != Verdict.INCONCLUSIVE or holds == HOLDS:
                self.course.stages.append(replace(stage, knee=knee(self.asked, stage)))
                return

    def held(self, start: float, before: Reading, scraped: Samples | None) -> tuple[Stage, Held]:
        end, used = time.monotonic(), usage(before, read(self.pids, self.cores))
        counted = deltas(scraped, self.scrape()) if self.scrape and scraped is not None else None
        self.settle(end)
        crowd, probe = self.crowd.window(start, end), self.probe.window(start, end)
        stage = Stage("hold", self.asked.users, start, end, used, crowd, probe)
        return stage, Held(start, end - start, crowd, probe, used, counted, unaccounted=0)

    def step_up(self) -> None:
        asked, schedule = self.asked, self.schedule
        users = asked.users
        for number in range(1, schedule.steps + 1):
            users = round(users * GROWTH)
            self.set_users(users, schedule.step_s / 4)
            made = self.stage(f"step {number}", users, schedule.step_s, skip_s=schedule.step_s / 2)
            if reason := knee(asked, made):
                self.course.stages[-1] = replace(made, knee=reason)
                self.say(f"step {number}    the knee: {reason}")
                break
        if schedule.steps:
            self.set_users(asked.users, schedule.recovery_s / 4)
            self.stage("recovery", asked.users, schedule.recovery_s, skip_s=schedule.recovery_s / 2)

    def rejudge(self) -> None:
        """With what is only known at the end: whether everything that was sent is accounted for."""
        course = self.course
        if course.held is not None:
            unaccounted = self.crowd.unaccounted + self.probe.unaccounted
            course.held = replace(course.held, unaccounted=unaccounted)
            course.judgement = judge(course.asked, course.held)


def knee(asked: Asked, stage: Stage) -> str:
    """Why the load of this step is too much; empty when it is not."""
    p95, whole = p95_of(stage.probe), len(stage.crowd) + len(stage.probe)
    wrong = sum(not right for *_, right in (*stage.crowd, *stage.probe))
    if stage.usage.core > asked.limits.generator_core:
        return f"the generator's core is {stage.usage.core:.0%} busy, so this machine cannot show more"
    if p95 is None:
        return "nothing was answered"
    if p95 > asked.p95_ms:
        return f"p95 is {p95:.0f} ms"
    if wrong > asked.error_rate * whole:
        return f"{wrong / whole:.1%} of the answers are errors"
    return ""
