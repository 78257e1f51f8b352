"""What measures the platform, and what keeps its measure: each command has a `--help` of its own.

Exit codes of them all: 2 usage, 3 the rig was unfit and the figures prove nothing, 130 interrupted.
"""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from infra.local.errors import PlatformError
from loadtests import claims
from loadtests.bench import Options, run
from loadtests.budgets import door as budgets
from loadtests.capacity import door as predict
from loadtests.cases import CASES
from loadtests.doors import EXIT_INVALID_RIG, Say, between
from loadtests.gate import door as gate
from loadtests.report import to_json, to_text
from loadtests.reports import door as report
from loadtests.servers import ServerError

EXIT_INTERRUPTED = 130
DEFAULTS = Options()


def add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        "bench",
        help="compare servers side by side on this machine",
        description="Starts a PostgreSQL of its own and every server of the table, measures them in interleaved"
        " rounds and prints medians, spreads and paired ratios. Progress goes to stderr.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    door.set_defaults(handle=bench, parser=door)
    door.add_argument("--rounds", type=between(1, 1_000), default=DEFAULTS.rounds, help="of each server")
    door.add_argument("--seconds", type=between(0.1, 600, float), default=DEFAULTS.seconds, help="length of a round")
    door.add_argument("--rows", type=between(1, 20_000_000), default=DEFAULTS.rows, help="tasks in the database")
    door.add_argument("--owners", type=between(1, 1_000_000), default=DEFAULTS.owners, help="users who own them")
    door.add_argument("--connections", type=between(1, 1_024), default=DEFAULTS.connections, help="of the generator")
    door.add_argument("--pool", type=between(1, 64), default=DEFAULTS.pool, help="database connections of a server")
    door.add_argument("--seed", type=between(0, 2**31), default=DEFAULTS.seed, help="of request order and bootstrap")
    door.add_argument("--cases", nargs="+", choices=[*CASES], default=[*DEFAULTS.cases], help="what to measure")
    door.add_argument(
        "--instructions",
        action=argparse.BooleanOptionalAction,
        default=DEFAULTS.instructions,
        help="count those of the list too, in process; needs valgrind",
    )
    door.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def parser() -> argparse.ArgumentParser:
    """Each command brings `handle`, which gets its own parser, what was given, the command as typed, and where to tell
    how it goes.
    """
    door = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    commands = door.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add_to in (gate.add_to, predict.add_to, budgets.add_to, add_bench, claims.add_to, report.add_to):
        add_to(commands)
    return door


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def stop(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: every server is stopped on the way out."""
    raise KeyboardInterrupt


def bench(door: argparse.ArgumentParser, given: Mapping[str, Any], _typed: str, say: Say) -> int:
    if given["owners"] > given["rows"]:
        door.error("every owner needs a task: --owners must not exceed --rows")
    options = Options(**{name: value for name, value in given.items() if name not in {"command", "json"}})
    try:
        result = run(options, say)
    except (ServerError, PlatformError) as error:
        say(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG
    print(json.dumps(to_json(result), indent=2) if given["json"] else to_text(result))
    return EXIT_INVALID_RIG if result.problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    typed = sys.argv[1:] if arguments is None else arguments
    given = vars(parser().parse_args(typed))
    handle, door = given.pop("handle"), given.pop("parser")
    signal.signal(signal.SIGTERM, stop)
    try:
        code: int = handle(door, given, shlex.join(["python", "-m", "loadtests", *typed]), progress)
    except KeyboardInterrupt:
        progress("interrupted; every server that was started is stopped")
        return EXIT_INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
