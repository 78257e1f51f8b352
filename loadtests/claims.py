"""`python -m loadtests claims`: runs the experiment of each claim of a phase and prints the verdicts.

Exit codes: 0 measured, whatever the verdicts; 2 usage; 3 a rig was unfit, and the figures of that claim prove nothing.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local.errors import PlatformError
from loadtests.doors import EXIT_INVALID_RIG, Say, between, check_out
from loadtests.experiments import cache, database_load, indexes, protection
from loadtests.experiments.outcome import Outcome
from loadtests.experiments.report import Result, to_document, to_json
from loadtests.experiments.size import FULL, QUICK, Size
from loadtests.reports.document import SCHEMA, utc_now
from loadtests.reports.facts import facts
from loadtests.reports.text import to_text
from loadtests.reports.write import write
from loadtests.servers import ServerError
from roadmap.claims import Claim, load_claims

LEAST_ROWS, MOST_ROWS = 1_000, 20_000_000

Experiment = Callable[[Claim, Size, Say], Outcome]
EXPERIMENTS: Mapping[str, Experiment] = {
    "indexes": indexes.run,
    "cache": cache.run,
    "database_load": database_load.run,
    "protection": protection.run,
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        "claims",
        help="measure what the strategy claims, with a verdict for each claim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.set_defaults(handle=handle, parser=door)
    door.add_argument("--phase", required=True, help="whose claims (roadmap/claims.toml)")
    door.add_argument("--only", nargs="+", metavar="NAME", help="these claims, by id")
    door.add_argument(
        "--quick", action="store_true", help="smaller sizes, for a look: some two minutes instead of eight"
    )
    door.add_argument("--rows", type=between(LEAST_ROWS, MOST_ROWS), help="the largest task table")
    door.add_argument("--json", action="store_true", help="print one JSON object with every figure")
    door.add_argument(
        "--out", type=Path, metavar="DIR", help="write the report there, as JSON, HTML, Markdown and JUnit"
    )


def choose(door: argparse.ArgumentParser, given: Mapping[str, Any]) -> Sequence[Claim]:
    """The claims that are asked for, in the order of their file; a usage error when there are none, or when the folder
    for the report cannot be made: that shows before the measurement, not after it.
    """
    known = load_claims()
    claims = known.of(given["phase"])
    if not claims:
        door.error(f"phase {given['phase']} has no claims; phases that have some: {', '.join(known.phases)}")
    wanted = given["only"] or [claim.id for claim in claims]
    if unknown := [name for name in wanted if name not in [claim.id for claim in claims]]:
        names = ", ".join(claim.id for claim in claims)
        door.error(f"phase {given['phase']} has no claim {', '.join(unknown)}; it has {names}")
    check_out(door, given["out"])
    return [claim for claim in claims if claim.id in wanted]


def handle(door: argparse.ArgumentParser, given: Mapping[str, Any], typed: str, say: Say) -> int:
    chosen = choose(door, given)
    return run(chosen, size_of(given), say, typed, as_json=given["json"], out=given["out"])


def size_of(given: Mapping[str, Any]) -> Size:
    size = QUICK if given["quick"] else FULL
    return size if given["rows"] is None else size.up_to(given["rows"])


def run(claims: Sequence[Claim], size: Size, say: Say, command: str, *, as_json: bool, out: Path | None) -> int:
    """One experiment after the other; one whose rig breaks does not keep the others from being measured. `command` is
    what was typed, for the report.
    """
    results = []
    for claim in claims:
        try:
            outcome = EXPERIMENTS[claim.experiment](claim, size, say)
        except (ServerError, PlatformError) as error:
            outcome = Outcome((), "Nothing was measured.", [str(error)])
        results += [Result(claim, outcome)]
        for problem in outcome.problems:
            say(f"INVALID RIG: {claim.id}: {problem}")
    document = to_document(results, size, made_at=utc_now(), facts=facts(command))
    figures = to_json(results, size)
    text = json.dumps({"schema": SCHEMA, **figures}, indent=2) if as_json else to_text(document)
    sys.stdout.write(f"{text}\n")
    if out is not None:
        for path in write(document, out, figures):
            say(f"written: {path}")
    return EXIT_INVALID_RIG if any(result.outcome.problems for result in results) else 0
