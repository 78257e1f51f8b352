"""`python -m loadtests predict --phase 2|3|4`: what a phase needs that no machine here can show, by a capacity model.

One server is measured step by step, the model is fitted, then checked on a step and on numbers of servers that were
held out. The errors are printed; where they are too large the prediction says that it is not validated.

Exit codes: 0 predicted, validated or not; 2 usage; 3 the rig was unfit, or its figures admit no prediction;
130 interrupted.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.local.errors import PlatformError
from loadtests.capacity.fit import FitError
from loadtests.capacity.measure import measure
from loadtests.capacity.measured import Measured, MeasuredError
from loadtests.capacity.model import ModelError, predict
from loadtests.capacity.prices import load_prices
from loadtests.capacity.show import document
from loadtests.capacity.size import FULL, QUICK
from loadtests.capacity.validate import validate
from loadtests.doors import EXIT_INVALID_RIG, Say, check_out
from loadtests.reports.document import utc_now
from loadtests.reports.facts import facts
from loadtests.reports.text import to_text
from loadtests.reports.write import result, write
from loadtests.servers import ServerError
from roadmap.phases import Phase, load

KEPT = Path(".loadtests")
MEASUREMENTS = "capacity.json"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        "predict",
        help="predict what a phase needs that cannot be measured here",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.set_defaults(handle=handle, parser=door)
    door.add_argument("--phase", required=True, help="whose needs (roadmap/phases.toml, and machines in prices.toml)")
    source = door.add_mutually_exclusive_group()
    source.add_argument("--quick", action="store_true", help="measure less: some three minutes instead of nine")
    source.add_argument(
        "--from", dest="kept", type=Path, metavar="FILE", help="predict from kept measurements instead of measuring"
    )
    door.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"write the report's files there; measurements are kept there too, else in {KEPT / MEASUREMENTS}",
    )
    door.add_argument("--json", action="store_true", help="print one JSON object with every figure")


@dataclass(frozen=True)
class Asked:
    """`kept` are measurements to predict from; None where they are to be made. `out` is where files go."""

    phase: Phase
    kept: Measured | None
    quick: bool
    out: Path | None


def choose(door: argparse.ArgumentParser, given: Mapping[str, Any]) -> Asked:
    """A usage error for a phase that is not predicted, and for a file that holds no measurement."""
    phases, predicted, name = load(), load_prices().phases, given["phase"]
    if name not in phases.names:
        door.error(f"there is no phase {name}; predicted are {', '.join(predicted)}")
    if name not in predicted:
        door.error(f"phase {name} is measured at full size, not predicted: python -m loadtests run --phase {name}")
    check_out(door, given["out"])
    try:
        kept = None if given["kept"] is None else Measured.read(given["kept"])
    except MeasuredError as error:
        door.error(str(error))
    return Asked(phases.phase(name), kept, given["quick"], given["out"])


def handle(door: argparse.ArgumentParser, given: Mapping[str, Any], typed: str, say: Say) -> int:
    return run(choose(door, given), say, typed, as_json=given["json"])


def run(asked: Asked, say: Say, command: str, *, as_json: bool) -> int:
    """`command` is what reproduces the run, as one types it."""
    try:
        measured = asked.kept or measure(QUICK if asked.quick else FULL, say)
    except (ServerError, PlatformError) as error:
        say(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG
    if asked.kept is None:
        path = (asked.out or KEPT) / MEASUREMENTS
        measured.write(path)
        say(f"measurements are kept: predict again with --from {path}")
    for problem in measured.problems:
        say(f"INVALID RIG: {problem}")
    if measured.problems:
        return EXIT_INVALID_RIG
    prices = load_prices()
    try:
        validation = validate(measured)
        prediction = predict(measured, validation.product, asked.phase, prices)
    except (FitError, ModelError) as error:
        say(f"NOTHING IS PREDICTED: {error}")
        return EXIT_INVALID_RIG
    made = document(measured, validation, prediction, prices, utc_now(), facts(command))
    data: dict[str, object] = {
        "validated": validation.holds,
        "predicted": {name: asdict(getattr(prediction, name)) for name in ("low", "middle", "high")},
        "measured": asdict(measured),
    }
    if asked.out is not None:
        for path in write(made, asked.out, data):
            say(f"written: {path}")
    sys.stdout.write((result(made, data) if as_json else to_text(made)).rstrip() + "\n")
    return 0
