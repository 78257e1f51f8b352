"""The doors of the load gates: `run`, `seed`, `probe` and `selftest`.

Exit codes of `run`: 0 PASS, 1 FAIL, 2 usage, 3 INVALID (the rig was unfit, and nothing is proven), 4 INCONCLUSIVE,
5 slower than the baseline, 130 interrupted. Those of `seed` and `probe`: 0 done, 2 usage, 3 it could not be done.
Those of `selftest`: 0 every verdict was right, 1 one was not.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.local.errors import PlatformError
from infra.local.plan import HIGHEST_BASE, LOWEST_BASE
from loadtests.doors import EXIT_INVALID_RIG, EXIT_USAGE, Say, between, check_out
from loadtests.gate import result, selftest
from loadtests.gate.evidence import Sample
from loadtests.gate.generators import generator
from loadtests.gate.machine import Cores
from loadtests.gate.result import kinds
from loadtests.gate.run import PROBE_RATES_PER_S, Options, prepare, run, size_of
from loadtests.gate.scrape import ScrapeError
from loadtests.gate.seed import SeedError
from loadtests.gate.target import target
from loadtests.reports.document import Outcome
from loadtests.reports.facts import facts, fingerprint
from loadtests.reports.text import section, to_text
from loadtests.reports.write import parts, write
from loadtests.servers import HOST, ServerError
from roadmap.phases import load

DATA = Path(".loadtests")
PORT = 5200
EXIT_REGRESSION = 5
UNFIT = (ServerError, SeedError, ScrapeError, PlatformError)


def made_by_seed(text: str) -> Path:
    """An argparse type: the file of people."""
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not there: `python -m loadtests seed` makes it and says where")
    return path


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    gated = [phase.name for phase in load().phases if phase.gate]
    runs = door(commands, "run", "judge a phase on this machine: PASS, FAIL, INVALID or INCONCLUSIVE, with the reasons")
    common(runs, gated)
    runs.add_argument(
        "--hold", type=between(5, 3_600, float), metavar="S", help="length of the hold (default: the phase's samples)"
    )
    runs.add_argument(
        "--steps", type=between(0, 20), default=4, help="at most, each 25 %% above the one before (default: 4)"
    )
    runs.add_argument(
        "--baseline", type=Path, metavar="RESULT.json", help="an earlier run that this must not be slower than"
    )
    runs.add_argument(
        "--out", type=Path, metavar="DIR", help="where the report goes (default: .loadtests/results/PHASE)"
    )
    runs.add_argument("--json", action="store_true", help="print result.json instead of the table")
    seeds = door(commands, "seed", "fill the database of a phase, and make tokens for the people who use it")
    common(seeds, gated)
    probes = door(
        commands, "probe", "ask at random moments, whatever is under way, and count from the moment that was due"
    )
    probes.add_argument("--port", type=between(1, 65_535), required=True, help="of the API, on 127.0.0.1")
    probes.add_argument("--people", type=made_by_seed, required=True, help="file with tokens, by `seed`")
    probes.add_argument("--seconds", type=between(1, 3_600, float), default=30.0, help="how long (default: 30)")
    probes.add_argument(
        "--rate", type=between(1, 1_000, float), default=PROBE_RATES_PER_S[-1], help="requests/s (default: 40)"
    )
    probes.add_argument("--seed", type=between(0, 2**31), default=1, help="of arrivals and requests (default: 1)")

    door(commands, "selftest", "meet bad servers and bad rigs, and see whether the gate says so")


def door(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text.capitalize()}.\n\n{__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(handle=handle, parser=made)
    return made


def common(parser: argparse.ArgumentParser, phases: list[str]) -> None:
    parser.add_argument(
        "--phase", required=True, choices=phases, help="those that run on one machine; others: `predict`"
    )
    parser.add_argument("--rows", type=between(1_000, 200_000_000), help="tasks in the database (default: the phase's)")
    parser.add_argument("--users", type=between(10, 100_000), help="people at the same time (default: the phase's)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder of the platform (default: .loadtests/PHASE)"
    )
    parser.add_argument(
        "--port", type=between(LOWEST_BASE, HIGHEST_BASE), default=PORT, help=f"its base port (default: {PORT})"
    )
    parser.add_argument("--seed", type=between(0, 2**31), default=1, help="of data and load (default: 1)")


def options(given: Mapping[str, Any]) -> Options:
    return Options(
        data=(given["data"] or DATA / given["phase"]).absolute(),
        port=given["port"],
        users=given["users"],
        rows=given["rows"],
        hold_s=given.get("hold"),
        steps=given.get("steps", 0),
        seed=given["seed"],
    )


def handle(door: argparse.ArgumentParser, given: Mapping[str, Any], typed: str, say: Say) -> int:
    check_out(door, given.get("out"))
    try:
        return HANDLERS[given["command"]](given, typed, say)
    except UNFIT as error:
        say(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG


def judged(given: Mapping[str, Any], typed: str, say: Say) -> int:
    phase, chosen = load().phase(given["phase"]), options(given)
    try:
        baseline = parts(given["baseline"])[1] if given["baseline"] else None
    except ValueError as error:
        say(str(error))
        return EXIT_USAGE
    course = run(phase, chosen, say)
    size = size_of(phase, chosen)
    data = result.data(course, size, fingerprint())
    regression = [] if baseline is None else result.against(baseline, data)
    made = result.document(course, size, facts(typed), regression)
    out = given["out"] or DATA / "results" / phase.name
    files = write(made, out, data)
    sys.stdout.write(files[0].read_text() if given["json"] else f"{to_text(made)}\n")
    say(f"written: {', '.join(str(path) for path in files)}")
    slower = any(check.outcome == Outcome.FAILED for check in regression)
    code = course.judgement.verdict.exit_code if course.judgement else EXIT_INVALID_RIG
    return EXIT_REGRESSION if code == 0 and slower else code


def seeded(given: Mapping[str, Any], _typed: str, say: Say) -> int:
    phase, chosen = load().phase(given["phase"]), options(given)
    with target(phase.name, chosen.data, chosen.port, say) as there:
        people = there.folder.secrets / "people.json"
        prepare(there, people, size_of(phase, chosen), say)
        say(f"tokens for seven days: {people}")
        say("while the platform is up, people come with:")
        say(f"  locust -f loadtests/locustfile.py --host http://{HOST}:{there.port} --people {people}")
    return 0


def probed(given: Mapping[str, Any], _typed: str, _say: Say) -> int:
    ask = {
        "host": HOST,
        "port": given["port"],
        "people": str(given["people"]),
        "rate_per_s": given["rate"],
        "seed": given["seed"],
    }
    cores = Cores.of_this_machine()
    with (
        tempfile.TemporaryDirectory(prefix="loadtests-") as folder,
        generator("prober", "loadtests.gate.probe", ask, cores, Path(folder)) as probe,
    ):
        until = time.monotonic() + given["seconds"]
        while time.monotonic() < until:
            probe.check()
            time.sleep(0.2)
        probe.finish()
        sys.stdout.write(told(probe.samples, given) + f"\n  {probe.sent:,} sent, {probe.lost:,} never answered\n")
    return 0 if probe.samples else EXIT_INVALID_RIG


def told(samples: list[Sample], given: Mapping[str, Any]) -> str:
    everything = [(moment, "all", *rest) for moment, _, *rest in samples]
    title = f"{given['rate']:g} requests/s for {given['seconds']:g} s, seed {given['seed']}"
    return "\n".join(section(kinds(title, [*samples, *everything]), "")).lstrip()  # type: ignore[list-item]


def tested(_given: Mapping[str, Any], typed: str, say: Say) -> int:
    document = selftest.run(say, typed)
    sys.stdout.write(to_text(document) + "\n")
    return document.outcome != Outcome.PASSED


HANDLERS: Mapping[str, Callable[[Mapping[str, Any], str, Say], int]] = {
    "run": judged,
    "seed": seeded,
    "probe": probed,
    "selftest": tested,
}
