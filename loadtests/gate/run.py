"""`python -m loadtests run`: whether a phase keeps its promise on this machine, as a verdict with its reasons."""

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.doors import Say
from loadtests.gate import scrape, seed
from loadtests.gate.conduct import Conductor, Course, Schedule
from loadtests.gate.evidence import Asked
from loadtests.gate.generators import Generator, generator
from loadtests.gate.machine import Cores, apart, pinned
from loadtests.gate.target import Target, target
from roadmap.phases import Phase

PROBE_RATES_PER_S = (20.0, 40.0)  # the lower for a load that the higher would nearly double
BUSY_PER_S = 200.0
SPARE_PEOPLE = 1_000  # of the prober
USERS_PER_S = 100.0  # by which the crowd grows: each comes with a connection of its own
SETTLE_S = 20.0
PROBE_PEOPLE_SHARE = 3  # accounts a person: the crowd grows above the phase's users, and the prober has its own


@dataclass(frozen=True)
class Options:
    """None is what the phase says. `hold_s`, `steps`: of the schedule."""

    data: Path
    port: int
    users: int | None = None
    rows: int | None = None
    hold_s: float | None = None
    steps: int = 4
    seed: int = 1


def size_of(phase: Phase, options: Options) -> seed.Size:
    users = options.users or phase.targets.users
    rows = options.rows or (phase.gate.rows if phase.gate else 0)
    return seed.Size(rows, users * PROBE_PEOPLE_SHARE + SPARE_PEOPLE, options.seed)


def probe_rate(asked: Asked) -> float:
    return PROBE_RATES_PER_S[asked.users / asked.think_s >= BUSY_PER_S]


def schedule_of(asked: Asked, options: Options) -> Schedule:
    # A tenth more than is due on average.
    hold_s = options.hold_s or max(60.0, math.ceil(asked.min_samples * 1.1 / probe_rate(asked) / 5) * 5)
    return Schedule(ramp_s=max(5.0, asked.users / USERS_PER_S), settle_s=SETTLE_S, hold_s=hold_s, steps=options.steps)


def run(phase: Phase, options: Options, say: Say) -> Course:
    """ServerError or SeedError when it cannot be measured."""
    asked = Asked.of(phase, users=options.users, seed=options.seed)
    with target(phase.name, options.data, options.port, say) as there:
        people = there.folder.secrets / "people.json"
        prepare(there, people, size_of(phase, options), say)
        with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
            return measure(asked, schedule_of(asked, options), there, people, Path(folder), say)


def prepare(there: Target, people: Path, size: seed.Size, say: Say) -> None:
    if seed.is_seeded(there.superuser_url, there.folder.root, size):
        say(f"{size.rows:,} tasks of {size.users:,} users are there from an earlier run")
    else:
        seed.seed(there.superuser_url, there.folder.root, size, bar(say, f"seeding tasks of {size.users:,} users"))
    seed.write_people(people, there.superuser_url, seed.signing_keys(there.folder.tokens), size)


def bar(say: Say, title: str) -> Callable[[int, int], None]:
    """Tells the progress: on a terminal in one line that fills, elsewhere at every tenth."""
    told = -1

    def advance(there: int, wanted: int) -> None:
        nonlocal told
        if sys.stderr.isatty():
            filled = "#" * (30 * there // wanted)
            end = "\n" if there == wanted else ""
            sys.stderr.write(f"\r{title} [{filled:<30}] {there:,}/{wanted:,}{end}")
            sys.stderr.flush()
        elif (tenth := 10 * there // wanted) != told:
            told = tenth
            say(f"{title}: {there:,}/{wanted:,}")

    return advance


def measure(asked: Asked, schedule: Schedule, there: Target, people: Path, folder: Path, say: Say) -> Course:
    cores = Cores.of_this_machine()
    generators = generating(asked, there.host, there.port, probe_rate(asked), people, folder, cores)
    # The gate itself reads what the generators say, and stays off the servers' cores.
    with pinned(cores.generators), apart([*there.pids.values()], cores), generators as (crowd, probe):
        pids = {**there.pids, "crowd": crowd.process.pid, "probe": probe.process.pid, "gate": os.getpid()}
        conductor = Conductor(
            asked,
            schedule,
            crowd,
            probe,
            pids=pids,
            cores=cores,
            scrape=lambda: scrape.scrape(there.host, there.metrics_port),
            say=say,
        )
        return conductor.run()


@contextmanager
def generating(
    asked: Asked, host: str, port: int, probe_per_s: float, people: Path, folder: Path, cores: Cores
) -> Iterator[tuple[Generator, Generator]]:
    """The crowd, of which nobody is there yet, and the prober, which asks from now on."""
    common = {"people": str(people), "seed": asked.seed}
    ask_crowd = {**common, "host": f"http://{host}:{port}", "think_s": asked.think_s}
    ask_probe = {**common, "host": host, "port": port, "rate_per_s": probe_per_s}
    with (
        generator("crowd", "loadtests.gate.crowd", ask_crowd, cores, folder) as crowd,
        generator("prober", "loadtests.gate.probe", ask_probe, cores, folder) as probe,
    ):
        yield crowd, probe
