"""Instructions that one request costs an application in process: no server, no socket, no clock.

cachegrind counts a process and its forks. The probe warms up, then forks one child for each of two numbers of
requests; everything but the requests is in both counts and cancels.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.cases import Case, Peer
from loadtests.rig import environment_of
from loadtests.servers import HOST, ServerError, free_port, python_module, run_command
from loadtests.world import Owner

LIMIT_SECONDS = 300.0


def valgrind() -> str:
    """Its path. ServerError with what to install."""
    found = shutil.which("valgrind")
    if found is None:
        raise ServerError(
            "counting instructions needs valgrind: apt-get install valgrind (or dnf, brew); the bench can leave them"
            " out with --no-instructions"
        )
    return found


def count(values: Mapping[str, object], asked: Sequence[tuple[Case, Owner]], peer: Peer) -> list[float]:
    """Instructions a request of the peer's application, for each that is asked. `values` fill the placeholders of the
    peer's settings. ServerError when they cannot be counted.
    """
    values = {**values, "host": HOST, "port": free_port(), "second_port": free_port()}
    environment = environment_of(peer.environment, values) | {"PYTHONHASHSEED": "0"}
    if peer.needs("valkey"):
        environment["TASKS_VALKEY_BUDGET_S"] = "1.0"  # valgrind is many times slower than a machine
        environment["TASKS_LIMITS_READ"] = "1000000/60"  # one user asks for all, and none of it must wait for a lease
    requests = [(case.path.format(task_id=owner.task_id), owner.token) for case, owner in asked]
    given = json.dumps({"app": peer.name, "asked": requests})
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        tool = [valgrind(), "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p"]
        output = run_command(
            [*tool, *python_module("loadtests.inprocess")], environment, given=given, limit_s=LIMIT_SECONDS
        )
        # Around it lie the application's own logs, each an object.
        children = next(json.loads(line) for line in output.splitlines() if line.startswith("["))
        return [a_request(Path(folder), few, many) for few, many in children]


def a_request(folder: Path, few: Mapping[str, int], many: Mapping[str, int]) -> float:
    more = total(folder / str(many["pid"])) - total(folder / str(few["pid"]))
    return more / (many["requests"] - few["requests"])


def total(path: Path) -> int:
    for line in path.read_text().splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise ServerError("valgrind wrote no summary")
