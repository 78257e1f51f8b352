"""Servers that outlived a killed supervisor: found by the pids they left, never by a name."""

import signal
from collections.abc import Mapping

from infra.local import processes
from infra.local.folder import Folder
from infra.local.processes import Identity

_GRACE_S = 30


def leftovers(folder: Folder) -> Mapping[str, Identity]:
    """Only meaningful while no supervisor runs. The last started comes first: the order in which to stop them."""
    found = {file.stem: processes.load(file) for file in folder.run.glob("*.pid")}
    alive = {name: process for name, process in found.items() if process}
    return dict(sorted(alive.items(), key=lambda entry: entry[1].started, reverse=True))


def end_leftovers(folder: Folder) -> Mapping[str, Identity]:
    """Stop them and say which there were."""
    found = leftovers(folder)
    for process in found.values():
        # The one signal that each kind of server takes for "finish and go"; to PostgreSQL SIGTERM means "wait".
        processes.end(process, signal.SIGINT, _GRACE_S)
    processes.sweep(folder.postgres)
    return found
