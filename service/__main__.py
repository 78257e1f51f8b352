"""``python -m service``: the doors of the task service. Settings come from TASKS_* variables, see service/README.md."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Callable, Sequence

from pydantic import SecretStr, ValidationError

from service import __version__
from service.settings import Database, Settings

EXIT_FAILED = 1
EXIT_USAGE = 2

_HINTS = {"TASKS_DATABASE": "TASKS_DATABASE_URL (postgresql://user@host:port/database?passfile=/path)"}
_EPILOG = "exit codes: 0 done, 1 failed (the reason is the last line of stderr), 2 wrong usage or settings"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service", description="The task service.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("serve", help="answer requests until SIGTERM", epilog=_EPILOG).set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to a revision", epilog=_EPILOG)
    migrate.add_argument("--to", default="head", metavar="REVISION", help="0001, ... or head (default)")
    migrate.set_defaults(run=_migrate)

    admin = commands.add_parser(
        "create-admin",
        help="make an administrator, or promote a user",
        description="Makes an administrator. A user of that address is promoted and keeps name and password.",
        epilog=_EPILOG,
    )
    admin.add_argument("--email", required=True)
    admin.add_argument("--name", required=True)
    admin.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin; else it is asked for"
    )
    admin.set_defaults(run=_create_admin)

    rotate = commands.add_parser(
        "rotate-key",
        help="add a signing key; running servers use it 10 s later",
        description="Adds a signing key and removes those that no live token can name. Old tokens stay valid.",
        epilog=_EPILOG,
    )
    rotate.set_defaults(run=_rotate_key)

    commands.add_parser("openapi", help="print the OpenAPI document as JSON", epilog=_EPILOG).set_defaults(run=_openapi)

    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except ValidationError as error:
        for finding in error.errors(include_input=False, include_url=False):
            name = "TASKS_" + "_".join(str(part) for part in finding["loc"]).upper()
            print(f"{_HINTS.get(name, name)}: {finding['msg']}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_FAILED


def _serve(_: argparse.Namespace) -> int:
    from service.app import UnknownRoomError
    from service.kit.keys import KeyFolderError
    from service.serve import PortTakenError, serve

    try:
        serve(_settings())
    except UnknownRoomError as error:
        return _failed(error, EXIT_USAGE)
    except (PortTakenError, KeyFolderError) as error:
        return _failed(error)
    return 0


def _migrate(chosen: argparse.Namespace) -> int:
    from service.migrations.door import MigrationError, migrate

    try:
        steps = migrate(_settings().database, chosen.to, lambda step: print(step, flush=True))
    except MigrationError as error:
        return _failed(error)
    if not steps:
        print("nothing to do")
    return 0


def _create_admin(chosen: argparse.Namespace) -> int:
    from service.admin import AdminError, create_admin
    from service.kit.keys import KeyFolderError

    settings = _settings()
    password = sys.stdin.readline().rstrip("\n") if chosen.password_stdin else getpass.getpass("Password: ")
    try:
        print(asyncio.run(create_admin(settings, email=chosen.email, name=chosen.name, password=password)))
    except (AdminError, KeyFolderError) as error:
        return _failed(error)
    return 0


def _rotate_key(_: argparse.Namespace) -> int:
    from service.kit.keys import KeyFolder, KeyFolderError

    settings = _settings().tokens
    try:
        print(KeyFolder(settings.folder).add(retire_after_s=settings.lifetime_s + settings.leeway_s))
    except KeyFolderError as error:
        return _failed(error)
    return 0


def _openapi(_: argparse.Namespace) -> int:
    from service.app import UnknownRoomError, create_api

    try:
        # The document depends on the rooms alone; no database is needed to print it.
        api = create_api(Settings(database=Database(url=SecretStr("postgresql://"))))
    except UnknownRoomError as error:
        return _failed(error, EXIT_USAGE)
    print(json.dumps(api.openapi(), indent=2))
    return 0


def _settings() -> Settings:
    return Settings()


def _failed(error: Exception, code: int = EXIT_FAILED) -> int:
    print(f"service: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
