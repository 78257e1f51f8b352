"""`python -m loadtests predict --phase 2|3|4`: what a phase needs that no machine here can show, by a capacity model.

One server is measured step by step, the model is fitted, then checked on a step and on numbers of servers that were
held out. The errors are printed; where they are too large the prediction says that it is not validated.

Exit codes: 0 predicted, validated or not; 2 usage; 3 the rig was unfit, or its figures admit no prediction;
130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
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
from loadtests.reports.document import utc_now
from loadtests.reports.facts import facts
from loadtests.reports.text import to_text
from loadtests.reports.write import result, write
from loadtests.servers import ServerError
from roadmap.phases import Phase, load

EXIT_INVALID_RIG = 3
KEPT = Path(".loadtests")
MEASUREMENTS = "capacity.json"

Say = Callable[[str], None]


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        "predict",
        help="predict what a phase needs that cannot be measured here",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.add_argument("--phase", required=True, help=f"one of {', '.join(load_prices().phases)}")
    source = door.add_mutually_exclusive_group()
    source.add_argument("--quick", action="store_true", help="measure less: two minutes instead of seven")
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


def choose(door: argparse.ArgumentParser, given: Mapping[str, Any]) -> Phase:
    """The phase that is asked for, with `kept` read into measurements; a usage error for one that is not predicted."""
    phases, predicted = load(), load_prices().phases
    name = given["phase"]
    if name not in phases.names:
        door.error(f"there is no phase {name}; predicted are {', '.join(predicted)}")
    if name not in predicted:
        door.error(f"phase {name} is measured at full size, not predicted: python -m loadtests run --phase {name}")
    return phases.phase(name)


def read_kept(door: argparse.ArgumentParser, path: Path | None) -> Measured | None:
    """None when there is none to read; a usage error for a file that holds no measurement."""
    try:
        return None if path is None else Measured.read(path)
    except MeasuredError as error:
        return door.error(str(error))


def run(  # noqa: PLR0913 (the door's options)
    phase: Phase, kept: Measured | None, say: Say, command: str, *, quick: bool, out: Path | None, as_json: bool
) -> int:
    try:
        measured = kept or measure(QUICK if quick else FULL, say)
    except (ServerError, PlatformError) as error:
        say(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG
    if kept is None:
        path = (out or KEPT) / MEASUREMENTS
        measured.write(path)
        say(f"measurements are kept: predict again with --from {path}")
    for problem in measured.problems:
        say(f"INVALID RIG: {problem}")
    if measured.problems:
        return EXIT_INVALID_RIG
    prices = load_prices()
    try:
        validation = validate(measured)
        prediction = predict(measured, validation.product, phase, prices)
    except (FitError, ModelError) as error:
        say(f"NOTHING IS PREDICTED: {error}")
        return EXIT_INVALID_RIG
    made = document(measured, validation, prediction, prices, utc_now(), facts(command))
    data: dict[str, object] = {
        "validated": validation.holds,
        "predicted": {name: asdict(getattr(prediction, name)) for name in ("low", "middle", "high")},
        "measured": asdict(measured),
    }
    if out is not None:
        for path in write(made, out, data):
            say(f"written: {path}")
    sys.stdout.write((result(made, data) if as_json else to_text(made)).rstrip() + "\n")
    return 0
