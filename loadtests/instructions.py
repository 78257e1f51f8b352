"""Instructions that one request costs an application in process: no server, no socket, no clock.

cachegrind counts a process and its forks. The probe warms up, then forks one child for each of two numbers of
requests; everything but the requests is in both counts and cancels.
"""

import json
import shutil
import tempfile
from pathlib import Path

from loadtests.cases import Case, Peer
from loadtests.rig import Rig, environment_of
from loadtests.servers import HOST, ServerError, free_port, python_module, run_command

LIMIT_SECONDS = 300.0


def valgrind() -> str:
    """Its path. ServerError with what to install."""
    found = shutil.which("valgrind")
    if found is None:
        raise ServerError(
            "counting instructions needs valgrind: apt-get install valgrind (or dnf, brew), or leave them out with"
            " --no-instructions"
        )
    return found


def count(running: Rig, case: Case, peer: Peer) -> float:
    """Instructions a request of the peer's application. ServerError when it cannot be counted."""
    values = {**running.values, "host": HOST, "port": free_port(), "second_port": free_port()}
    environment = environment_of(peer.environment, values) | {"PYTHONHASHSEED": "0"}
    if peer.needs("valkey"):
        environment["TASKS_VALKEY_BUDGET_S"] = "1.0"  # valgrind is many times slower than a machine
    owner = running.recorded
    given = json.dumps({"app": peer.name, "path": case.path.format(task_id=owner.task_id), "token": owner.token})
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        tool = [valgrind(), "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p"]
        output = run_command(
            [*tool, *python_module("loadtests.inprocess")], environment, given=given, limit_s=LIMIT_SECONDS
        )
        # Around it lie the application's own logs, each an object.
        few, many = next(json.loads(line) for line in output.splitlines() if line.startswith("["))
        more = total(Path(folder, str(many["pid"]))) - total(Path(folder, str(few["pid"])))
        requests: int = many["requests"] - few["requests"]
        return more / requests


def total(path: Path) -> int:
    for line in path.read_text().splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise ServerError("valgrind wrote no summary")
