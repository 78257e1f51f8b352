"""The door of the local platform. What each word does is in the modules it calls."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from infra.local import running, show
from infra.local.errors import Exit, PlatformError, of_the_system
from infra.local.folder import Folder
from infra.local.host import this_host
from infra.local.lock import holder
from infra.local.plan import (
    DATABASE,
    HIGHEST_BASE,
    LOOPBACK,
    LOWEST_BASE,
    POSTGRES,
    SERVICE_ROLE,
    SUPERUSER,
    Site,
    plan,
)
from infra.local.run import clean_environment
from infra.local.up import Platform, up
from infra.local.upgrade import check_direction, upgrade
from roadmap.phases import load
from roadmap.reader import RoadmapError

EXIT_CODES = (
    "Exit codes: 0 done (status: every server is ready), 1 it failed (status: a server is not ready), 2 wrong usage, "
    "3 the platform is not running, 4 it is running already, 130 interrupted before it was ready."
)


DEFAULT_PORT = 5000


def _port(text: str) -> int:
    port = int(text)
    if not LOWEST_BASE <= port <= HIGHEST_BASE:
        raise argparse.ArgumentTypeError(f"must lie between {LOWEST_BASE} and {HIGHEST_BASE}, is {port}")
    return port


def _parser(phases: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local",
        description="The platform of a phase on this machine, from real servers.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name, help=text, description=text.capitalize() + ".", epilog=EXIT_CODES, allow_abbrev=False
        )
        made.add_argument(
            "--data", metavar="DIR", help="the data folder, for every phase (default: the project's .local/)"
        )
        return made

    starts = verb(
        "up",
        "start every server and stay in the foreground, where Ctrl-C stops them all; an earlier phase is upgraded",
    )
    starts.add_argument(
        "--phase", choices=phases, help="which phase to run (default: that of the data, at first current)"
    )
    starts.add_argument(
        "--port",
        type=_port,
        help=f"the base port: API there, its metrics 1, PostgreSQL 10, Valkey 20 above (default: {DEFAULT_PORT})",
    )
    starts.add_argument("--detach", action="store_true", help="return when all is ready, and leave it running")
    starts.add_argument("--json", action="store_true", help="print what is ready as JSON; progress goes to stderr")
    stops = verb("down", "stop every server; the data stays")
    stops.add_argument("--wipe", action="store_true", help="then remove the data folder")
    shows = verb("status", "show each server, asked whether it is ready")
    shows.add_argument("--json", action="store_true", help="for machines")
    reads = verb("logs", "show the end of the logs of one server, or of all")
    reads.add_argument("server", nargs="?", help="its name, or `supervisor`")
    reads.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    reads.add_argument("-n", "--lines", type=int, default=50, help="how many lines (default: 50)")
    again = verb("restart", "stop one server, start it, and wait until it is ready")
    again.add_argument("server")
    asks = verb("psql", "open psql on the service's database; further arguments are psql's own")
    asks.add_argument("--superuser", action="store_true", help="as PostgreSQL's superuser, not as the service's role")
    where = verb("url", "print a server's URL, for scripts")
    where.add_argument("server", nargs="?", default="api", help="its name (default: api)")
    return parser


def _tell(text: str, stream: TextIO) -> None:
    """A reader that went away, or a closed terminal, must not keep the servers from being started or stopped."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _up(given: argparse.Namespace) -> int:
    folder, roadmap = Folder.at(given.data), load()
    running = holder(folder)
    at = running.phase if running else folder.phase()
    phase = roadmap.phase(given.phase or at or roadmap.names[0])
    if at:
        check_direction(roadmap, at, phase, folder)
    upgrades = running is not None and running.phase != phase.name
    if upgrades and running and given.port not in {None, running.port}:
        raise PlatformError(f"it runs on port {running.port}, and an upgrade keeps that: leave out --port", Exit.USAGE)

    def say(line: str) -> None:
        _tell(line, sys.stderr if given.json else sys.stdout)

    def announce(platform: Platform) -> None:
        text = show.ready_text(platform, detached=given.detach or upgrades)
        _tell(json.dumps(show.ready_data(platform), indent=2) if given.json else "\n".join(text), sys.stdout)

    if upgrades:
        upgrade(folder, phase, say=say, announce=announce)
    else:
        site = Site(folder, this_host(), given.port or DEFAULT_PORT)
        up(plan(phase, site), site, detach=given.detach, say=say, announce=announce)
    return Exit.OK


def _down(given: argparse.Namespace) -> int:
    print("\n".join(running.down(Folder.at(given.data), wipe=given.wipe)))
    return Exit.OK


def _status(given: argparse.Namespace) -> int:
    folder = Folder.at(given.data)
    found = running.status(folder)
    if given.json:
        whole = {"running": found.phase is not None, "phase": found.phase, "data": str(folder.root)}
        print(json.dumps({**whole, "servers": found.servers}, indent=2))
    elif found.servers:
        print("\n".join(show.table(found.servers)))
    else:
        print(f"not running on {folder.root}: start it with `{show.command(folder, 'up')}`", file=sys.stderr)
    return found.code


def _logs(given: argparse.Namespace) -> int:
    folder = Folder.at(given.data)
    there = {path.stem: path for path in sorted(folder.logs.glob("*.log"))}
    if not there:
        raise PlatformError(f"no logs in {folder.logs}: start the platform with `up`", Exit.NOT_RUNNING)
    if given.server and given.server not in there:
        raise PlatformError(f"no log of {given.server}: there are {', '.join(there)}", Exit.USAGE)
    files = [there[given.server]] if given.server else list(there.values())
    follow = ["-F"] if given.follow else []  # -F: a rotated log is followed into the new file
    os.execvp("tail", ["tail", "-n", str(given.lines), *follow, "--", *map(str, files)])  # noqa: S606, S607  # it becomes tail


def _restart(given: argparse.Namespace) -> int:
    print(f"{given.server} is ready again, pid {running.restart(Folder.at(given.data), given.server)}")
    return Exit.OK


def _psql(given: argparse.Namespace) -> int:
    site = running.require(Folder.at(given.data)).site
    role = SUPERUSER if given.superuser else SERVICE_ROLE
    environment = {
        **clean_environment(),
        "PGHOST": LOOPBACK,
        "PGPORT": str(site.base_port + POSTGRES),
        "PGUSER": role,
        "PGDATABASE": DATABASE,
        "PGPASSFILE": site.passfile(role),
    }
    binary = str(site.host.postgres_bin / "psql")
    os.execve(binary, ["psql", *given.rest], environment)  # noqa: S606  # psql owns the terminal from here


def _url(given: argparse.Namespace) -> int:
    print(running.require(Folder.at(given.data)).server(given.server).url)
    return Exit.OK


VERBS = {"up": _up, "down": _down, "status": _status, "logs": _logs, "restart": _restart, "psql": _psql, "url": _url}


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        parser = _parser(load().names)
        given, rest = parser.parse_known_args(arguments)
        if rest and given.verb != "psql":
            parser.error(f"unknown arguments: {' '.join(rest)}")
        given.rest = rest
        return VERBS[given.verb](given)
    except (PlatformError, RoadmapError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code if isinstance(error, PlatformError) else Exit.USAGE
    except OSError as error:
        print(f"error: {of_the_system(error)}", file=sys.stderr)
        return Exit.FAILED
    except KeyboardInterrupt as interrupt:
        print(f"interrupted: {str(interrupt) or 'everything is stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
