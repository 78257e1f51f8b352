"""The door: `python -m loadtests bench`, `claims`, `predict`, and `report` for what was kept of a run.

Exit codes: 0 measured (whatever the figures say), 2 usage, 3 the rig was unfit and the figures prove nothing,
130 interrupted.
"""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from infra.local.errors import PlatformError
from loadtests import claims
from loadtests.bench import Options, run
from loadtests.capacity import door as predict
from loadtests.cases import CASES
from loadtests.report import to_json, to_text
from loadtests.reports import door as report
from loadtests.servers import ServerError

EXIT_INVALID_RIG = 3
EXIT_INTERRUPTED = 130
DEFAULTS = Options()


def whole(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number from least to most."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not within {least}..{most}")
        return value

    return parse


def duration(text: str) -> float:
    value = float(text)
    least, most = 0.1, 600.0
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{value:g} is not within {least:g}..{most:g}")
    return value


def parser() -> argparse.ArgumentParser:
    door = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    commands = door.add_subparsers(dest="command", required=True)
    bench = commands.add_parser(
        "bench",
        help="compare servers side by side on this machine",
        description="Starts a PostgreSQL of its own and every server of the table, measures them in interleaved"
        " rounds and prints medians, spreads and paired ratios. Progress goes to stderr.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    bench.add_argument("--rounds", type=whole(1, 1_000), default=DEFAULTS.rounds, help="of each server")
    bench.add_argument("--seconds", type=duration, default=DEFAULTS.seconds, help="length of a round")
    bench.add_argument("--rows", type=whole(1, 20_000_000), default=DEFAULTS.rows, help="tasks in the database")
    bench.add_argument("--owners", type=whole(1, 1_000_000), default=DEFAULTS.owners, help="users who own them")
    bench.add_argument("--connections", type=whole(1, 1_024), default=DEFAULTS.connections, help="of the generator")
    bench.add_argument("--pool", type=whole(1, 64), default=DEFAULTS.pool, help="database connections of a server")
    bench.add_argument("--seed", type=whole(0, 2**31), default=DEFAULTS.seed, help="of request order and bootstrap")
    bench.add_argument("--cases", nargs="+", choices=[*CASES], default=[*DEFAULTS.cases], help="what to measure")
    bench.add_argument(
        "--instructions",
        action=argparse.BooleanOptionalAction,
        default=DEFAULTS.instructions,
        help="count those of the list too, in process; needs valgrind",
    )
    bench.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    claims.add_to(commands)
    predict.add_to(commands)
    report.add_to(commands)
    return door


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def stop(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: every server is stopped on the way out."""
    raise KeyboardInterrupt


def bench(options: Options, *, as_json: bool) -> int:
    try:
        result = run(options, progress)
    except (ServerError, PlatformError) as error:
        progress(f"INVALID RIG: {error}")
        return EXIT_INVALID_RIG
    print(json.dumps(to_json(result), indent=2) if as_json else to_text(result))
    return EXIT_INVALID_RIG if result.problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    door = parser()
    typed = sys.argv[1:] if arguments is None else arguments
    given = vars(door.parse_args(typed))
    command = given.pop("command")
    if command == "report":
        return report.run(given["result"], given["out"], given["format"])
    as_json = given.pop("json")
    chosen = claims.choose(door, given) if command == "claims" else ()
    asked = predict.choose(door, given) if command == "predict" else None
    again = shlex.join(["python", "-m", "loadtests", *typed])
    if command == "bench" and given["owners"] > given["rows"]:
        door.error("every owner needs a task: --owners must not exceed --rows")
    signal.signal(signal.SIGTERM, stop)
    try:
        if command == "claims":
            return claims.run(chosen, claims.size_of(given), progress, again, as_json=as_json, out=given["out"])
        if asked is not None:
            return predict.run(asked, progress, again, as_json=as_json)
        return bench(Options(**given), as_json=as_json)
    except KeyboardInterrupt:
        progress("interrupted; every server is stopped")
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
