"""The platform in words and as data, for people and for machines."""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from infra.local.demo import Account
from infra.local.folder import Folder
from infra.local.host import PROJECT
from infra.local.plan import Server
from infra.local.up import Platform


def command(folder: Folder, verb: str) -> str:
    """A line to paste, in the project's folder, that means this platform."""
    own = Path(sys.prefix) == PROJECT / ".venv"  # where make put it; nobody needs to have it activated
    python = ".venv/bin/python" if own else "python"
    elsewhere = "" if folder == Folder.at(None) else f" --data {shlex.quote(str(folder.root))}"
    return f"{python} -m infra.local {verb}{elsewhere}"


# By kind of server: what `up` calls its URL. The API has lines of its own.
_CAPTIONS = {"postgresql": "PostgreSQL", "valkey": "Valkey"}


def metrics_url(api: Server) -> str:
    return f"http://127.0.0.1:{api.ports['metrics']}/metrics"


def ready_text(platform: Platform, *, detached: bool) -> Iterator[str]:
    api = platform.plan.server("api")
    folder = platform.site.folder
    yield f"phase {platform.plan.phase} is ready after {platform.took_s:.1f} s"
    yield f"  API          {api.url}/api/v1"
    yield f"  docs         {api.url}/docs"
    yield f"  metrics      {metrics_url(api)}"
    for server in platform.plan.servers:
        if server.kind in _CAPTIONS:
            yield f"  {_CAPTIONS[server.kind]:<12} {server.url}"
    yield f"  psql         {command(folder, 'psql')}"
    for account in platform.accounts:
        yield f"  demo {account.role.lower():<7} {account.email}  password {account.password}"
    yield "try it:"
    yield f"  {curl(api, platform.accounts[0])}"
    stop = command(folder, "down")
    yield f"stop it: {stop}" if detached else f"stop it: Ctrl-C, or {stop}"


def curl(api: Server, account: Account) -> str:
    body = json.dumps({"email": account.email, "password": account.password})
    return f"curl -s {api.url}/api/v1/auth/login -H 'Content-Type: application/json' -d '{body}'"


def ready_data(platform: Platform) -> dict[str, object]:
    api = platform.plan.server("api")
    return {
        "phase": platform.plan.phase,
        "data": str(platform.site.folder.root),
        "ready_s": round(platform.took_s, 2),
        "urls": {
            "api": f"{api.url}/api/v1",
            "docs": f"{api.url}/docs",
            "metrics": metrics_url(api),
            **{server.name: server.url for server in platform.plan.servers if server != api},
        },
        "accounts": [{key: value for key, value in asdict(it).items() if key != "made"} for it in platform.accounts],
    }


def table(rows: list[dict[str, object]]) -> Iterator[str]:
    columns = ("name", "kind", "role", "pid", "port", "state", "url")
    cells = [columns, *(tuple("-" if row[key] is None else str(row[key]) for key in columns) for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
