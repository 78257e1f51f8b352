"""`python -m loadtests selftest`: what the gate says of servers and generators that are known to be bad.

A gate that cannot fail proves nothing. The same crowd, prober, conductor and judge as in `run` meet a server that is
well, one that is late, one that fails, nobody who asks, and a generator that must share its core; each has the verdict
that it must get, and the check that must be its reason. What a scenario is not about has no limit, so that a busy
machine does not answer in its place.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtests.doors import Say
from loadtests.gate.conduct import Conductor, Schedule
from loadtests.gate.evidence import Asked, Limits
from loadtests.gate.judge import Judgement, Verdict
from loadtests.gate.machine import Cores, place
from loadtests.gate.run import generating
from loadtests.reports.document import Check, Document, Outcome, utc_now
from loadtests.reports.facts import facts
from loadtests.servers import HOST, answers, free_port, launched, python_module

UNLIMITED = Limits(generator_core=2.0, achieved=0.0, agreement_ms=1e6, neighbours=2.0)
ASKED = Asked("selftest", users=20, think_s=0.5, p95_ms=250, error_rate=0.05, min_samples=50, block_s=0.5)
ASKED = replace(ASKED, limits=UNLIMITED)
SCHEDULE = Schedule(ramp_s=1, settle_s=1, hold_s=3, steps=0)
RATE_PER_S = 40.0
BURN = (
    "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"  # ends by itself, whatever happens
)


@dataclass(frozen=True)
class Scenario:
    """`reason` is the check that must be among those that made the verdict; empty for a PASS."""

    name: str
    verdict: Verdict
    reason: str
    delay_ms: float = 0.0
    failing: float = 0.0
    burning: bool = False
    asked: Asked = field(default_factory=lambda: ASKED)
    rate_per_s: float = RATE_PER_S


TOGETHER: Sequence[Scenario] = (
    Scenario("a server that is well", Verdict.PASS, ""),
    Scenario("a slow server", Verdict.FAIL, "p95", delay_ms=600),
    Scenario("a failing server", Verdict.FAIL, "errors", failing=0.2),
    Scenario("an empty run", Verdict.INVALID, "samples", asked=replace(ASKED, think_s=1e5), rate_per_s=1e-4),
)
# Alone: it is about the core that the others would share.
THROTTLED = Scenario(
    "a throttled generator",
    Verdict.INVALID,
    "generator core",
    burning=True,
    asked=replace(ASKED, limits=replace(UNLIMITED, generator_core=Limits().generator_core)),
)


def people(folder: Path) -> Path:
    path = folder / "people.json"
    some = [{"id": n, "token": "none", "tasks": [n], "deletable": []} for n in range(1, 101)]
    path.write_text(json.dumps({"people": some, "administrators": [{"id": 101, "token": "none"}]}))
    return path


@contextmanager
def stage(scenario: Scenario, cores: Cores, folder: Path) -> Iterator[int]:
    """The scenario's server, and what burns the generators' core if it says so; the port."""
    with ExitStack() as stack:
        port = free_port()
        arguments = (str(port), str(scenario.delay_ms), str(scenario.failing))
        server = stack.enter_context(
            launched(
                "stub",
                python_module("loadtests.gate.stub", *arguments),
                port=port,
                log=folder / "stub.log",
                # A failing server may be ready and say 500.
                ready=lambda: answers(port, "/", 200),
            )
        )
        server.wait_ready()
        if scenario.burning:
            burner = launched(
                "burner", [sys.executable, "-c", BURN], port=0, log=folder / "burner.log", ready=lambda: True
            )
            place(stack.enter_context(burner).pid, cores.generators)
        yield port


def judged(scenario: Scenario, say: Say) -> Judgement:
    cores = Cores.of_this_machine()
    with tempfile.TemporaryDirectory(prefix="loadtests-") as name, stage(scenario, cores, Path(name)) as port:
        folder = Path(name)
        asked = scenario.asked
        with generating(asked, HOST, port, scenario.rate_per_s, people(folder), folder, cores) as (crowd, probe):
            conductor = Conductor(
                asked,
                SCHEDULE,
                crowd,
                probe,
                pids={"gate": os.getpid()},
                cores=cores,
                scrape=None,
                say=lambda line: say(f"{scenario.name}: {line}"),
            )
            judgement = conductor.run().judgement
    if judgement is None:
        raise RuntimeError("the course ended without a verdict")
    return judgement


def check(scenario: Scenario, judgement: Judgement) -> Check:
    reasons = [reason.name for reason in judgement.reasons]
    right = judgement.verdict == scenario.verdict and (scenario.reason in reasons if scenario.reason else not reasons)
    told = f"{judgement.verdict} ({', '.join(reasons)})" if reasons else str(judgement.verdict)
    wanted = f"{scenario.verdict} ({scenario.reason})" if scenario.reason else str(scenario.verdict)
    return Check("selftest", scenario.name, told, wanted, Outcome.PASSED if right else Outcome.FAILED)


def run(say: Say, command: str) -> Document:
    """Its verdict is PASS when every scenario got its own."""
    with ThreadPoolExecutor(len(TOGETHER)) as pool:
        checks = [check(*pair) for pair in zip(TOGETHER, pool.map(lambda it: judged(it, say), TOGETHER), strict=True)]
    checks.append(check(THROTTLED, judged(THROTTLED, say)))
    right = all(each.outcome == Outcome.PASSED for each in checks)
    return Document(
        kind="selftest",
        title="the gate's own test",
        verdict=Verdict.PASS if right else Verdict.FAIL,
        sentence="Bad servers and bad rigs, and what the gate says of them.",
        made_at=utc_now(),
        label="measured",
        checks=checks,
        tables=[],
        charts=[],
        facts=facts(command),
    )
