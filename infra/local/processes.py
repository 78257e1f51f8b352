"""Processes told apart by pid **and** start time, so that a number used again is never taken for one of ours."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    pid: int
    started: int  # clock ticks since boot, from /proc/PID/stat

    def alive(self) -> bool:
        return identify(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Nothing happens when the process is gone."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def save(self, path: Path) -> None:
        path.write_text(f"{self.pid} {self.started}\n")


def identify(pid: int) -> Identity | None:
    """None when no such process runs; one that ended and was not waited for yet counts as gone."""
    try:
        # The name, in parentheses, may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def load(path: Path) -> Identity | None:
    """The process recorded in a file, when it still runs."""
    try:
        pid, started = path.read_text().split()
        recorded = Identity(int(pid), int(started))
    except (FileNotFoundError, ValueError):
        return None
    return recorded if recorded.alive() else None


def awaited(condition: Callable[[], bool], seconds: float, every_s: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def end(process: Identity, number: signal.Signals, grace_s: float) -> None:
    """Ask with a signal, and after the grace kill."""
    process.send(number)
    if not awaited(lambda: not process.alive(), grace_s):
        process.send(signal.SIGKILL)
        awaited(lambda: not process.alive(), 5)


def working_in(folder: Path) -> Iterable[Identity]:
    """PostgreSQL's processes of one cluster: each has its data folder as working directory."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or entry.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder and (entry / "exe").readlink().name == "postgres":
                process = identify(int(entry.name))
                if process:
                    yield process


def sweep(folder: Path) -> None:
    """Kill what a dead postmaster left behind.

    Its backends are in groups of their own and keep the shared memory, and while one is busy with a statement
    PostgreSQL refuses to start again. A living postmaster makes this do nothing.
    """
    try:
        postmaster = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    left = list(working_in(folder))
    if any(process.pid == postmaster for process in left):
        return
    for process in left:
        process.send(signal.SIGKILL)
    awaited(lambda: not any(process.alive() for process in left), 5)
