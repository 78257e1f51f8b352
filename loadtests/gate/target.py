"""The platform that a gate measures: started when it is not up, and stopped again by whoever started it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import running
from infra.local.folder import Folder
from infra.local.plan import DATABASE, LOOPBACK, POSTGRES, SUPERUSER
from loadtests.doors import Say
from loadtests.servers import ROOT, ServerError

START_SECONDS = 300.0


@dataclass(frozen=True)
class Target:
    """`pids` of its servers by name, each the root of its own process tree."""

    phase: str
    folder: Folder
    host: str
    port: int
    metrics_port: int
    superuser_url: str
    pids: Mapping[str, int]


def door(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "infra.local", *arguments, "--data", str(folder)]
    return subprocess.run(  # noqa: S603 (our own door, no shell)
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=START_SECONDS
    )


@contextmanager
def target(phase: str, data: Path, port: int, say: Say) -> Iterator[Target]:
    """The phase on this data folder while it is wanted. ServerError with the door's own words when it does not start;
    one that runs there already is measured as it is, and left running.
    """
    folder = Folder.at(str(data))
    already = running.find(folder)
    if already is not None and already.plan.phase != phase:
        raise ServerError(f"phase {already.plan.phase} is running on {data}: stop it, or choose another --data")
    if already is None:
        say(f"starting phase {phase} on {data}")
        started = door(data, "up", "--phase", phase, "--port", str(port), "--detach", "--json")
        if started.returncode != 0:
            raise ServerError(f"the platform did not start: {started.stderr.strip().splitlines()[-1]}")
    try:
        yield found(folder)
    finally:
        if already is None:
            say("stopping the platform; its data stays")
            door(data, "down")


def found(folder: Folder) -> Target:
    it = running.require(folder)
    api = it.server("api")
    site = it.site
    state = json.loads(door(folder.root, "status", "--json").stdout)
    return Target(
        phase=it.plan.phase,
        folder=folder,
        host=LOOPBACK,
        port=api.port,
        metrics_port=api.ports["metrics"],
        superuser_url=(
            f"postgresql://{SUPERUSER}@{LOOPBACK}:{site.base_port + POSTGRES}/{DATABASE}"
            f"?passfile={site.passfile(SUPERUSER)}"
        ),
        pids={row["name"]: row["pid"] for row in state["servers"] if row["pid"]},
    )
