"""`python -m loadtests budgets`: counts what each request costs; fails where it is more than `budgets.toml` allows.

Exit codes: 0 within, 2 usage or a broken budgets.toml, 3 the rig was unfit (valgrind is missing, a server did not
start) and nothing was judged, 5 over budget, 130 interrupted.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from infra.local.errors import PlatformError
from loadtests.budgets.budgets import Budgets, BudgetsError, load_budgets
from loadtests.budgets.measure import interpreter, measure
from loadtests.budgets.subjects import FIGURES, SUBJECTS
from loadtests.budgets.verdict import TOLERANCE, Line, Verdict, judge
from loadtests.doors import EXIT_INVALID_RIG, EXIT_USAGE, Say
from loadtests.reports.cells import aligned, numeric
from loadtests.servers import ServerError

COMMAND = "budgets"
EXIT_OVER_BUDGET = 5


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        COMMAND,
        help="count statements, buffers, bytes and instructions a request; fail where they are over budget",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.set_defaults(handle=handle, parser=door)
    door.add_argument("--only", nargs="+", metavar="NAME", choices=[*SUBJECTS], help=f"of {', '.join(SUBJECTS)}")
    door.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def handle(_door: argparse.ArgumentParser, given: Mapping[str, Any], _typed: str, say: Say) -> int:
    try:
        budgets = load_budgets(FIGURES)
    except BudgetsError as error:
        say(str(error))
        return EXIT_USAGE
    wanted = [subject for name, subject in SUBJECTS.items() if name in (given["only"] or SUBJECTS)]
    try:
        measured = measure(wanted, say)
    except (ServerError, PlatformError) as error:
        say(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG
    here = interpreter()
    lines = judge(budgets, measured, here)
    document = to_json(lines, budgets, here)
    sys.stdout.write((json.dumps(document, indent=2) if given["json"] else to_text(lines, budgets, here)) + "\n")
    return EXIT_OVER_BUDGET if of(Verdict.OVER, lines) else 0


def of(verdict: Verdict, lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.verdict is verdict]


def to_json(lines: Sequence[Line], budgets: Budgets, here: str) -> dict[str, object]:
    return {
        "within": not of(Verdict.OVER, lines),
        "tolerance": TOLERANCE,
        "interpreter": here,
        "interpreter_of_budgets": budgets.interpreter,
        "figures": [asdict(line) | {"ratio": line.ratio} for line in lines],
    }


def to_text(lines: Sequence[Line], budgets: Budgets, here: str) -> str:
    table = [("request", "figure", "budget", "measured", "ratio", "verdict")]
    for line in lines:
        ratio = "-" if line.ratio is None else f"{line.ratio:.3f}"
        table.append((line.request, line.figure, shown(line.budget), shown(line.measured), ratio, line.verdict))
    over, below, unjudged = (of(each, lines) for each in (Verdict.OVER, Verdict.BELOW, Verdict.NOT_JUDGED))
    text = [f"a request, at most {TOLERANCE:.0%} above its budget", *aligned(table, numeric(table[1:])), ""]
    if unjudged:
        text += [f"note: instructions are not judged: here is {here}; the budgets are of {budgets.interpreter}"]
    text += [f"note: {line.request}: {line.figure} are below budget: lower it to {line.measured:.9g}" for line in below]
    if over:
        text += ["OVER BUDGET. Spend less, or append to loadtests/budgets/budgets.toml and say why:"]
        text += [entry(line) for line in over]
    else:
        text += [f"{len(lines) - len(unjudged)} figures judged, none over budget"]
    return "\n".join(text)


def entry(line: Line) -> str:
    """What raises the budget; the loader refuses it until it says why."""
    return f"""
[[raised]]
request = "{line.request}"
figure = "{line.figure}"
before = {line.budget:.12g}
after = {line.measured:.12g}
why = \"\""""


def shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
