"""Cores and CPU: who runs where, how busy the generators' core was, and what others took meanwhile. Linux only."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests.servers import cpu_between, cpu_by_process, process_tree


@dataclass(frozen=True)
class Cores:
    """The last core is the generators' own; the servers have the others. On a single core both share it, and no run
    will be valid.
    """

    servers: frozenset[int]
    generators: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls(frozenset(allowed[:-1] or allowed), frozenset(allowed[-1:]))


def threads(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    return []


def place(pid: int, cores: frozenset[int]) -> None:
    """Every thread of the process and its descendants; those that end meanwhile are left out. What they start later
    inherits it.
    """
    for process in process_tree(pid):
        for thread in threads(process):
            with suppress(OSError):
                os.sched_setaffinity(thread, cores)


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """The calling thread, and all that it starts, on these cores while it is wanted."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def apart(pids: Sequence[int], cores: Cores) -> Iterator[None]:
    """The servers on their cores while it is wanted, then where they were."""
    before = os.sched_getaffinity(0)
    for pid in pids:
        place(pid, cores.servers)
    try:
        yield
    finally:
        for pid in pids:
            place(pid, frozenset(before))


@dataclass(frozen=True)
class Reading:
    """`core_s` busy and whole seconds of the generators' core, `machine_s` of all cores, time stolen by the host
    included in both; `own_s` CPU seconds of each process that belongs to the run, by the name of its part.
    """

    core_s: tuple[float, float]
    machine_s: tuple[float, float]
    own_s: Mapping[str, Mapping[int, float]]


def read(pids: Mapping[str, int], cores: Cores) -> Reading:
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu")]
    by_name = {name: of_ticks([int(field) for field in fields[:8]]) for name, *fields in lines}
    core = next(iter(cores.generators))
    return Reading(by_name[f"cpu{core}"], by_name["cpu"], {name: cpu_by_process(pid) for name, pid in pids.items()})


def of_ticks(fields: Sequence[int]) -> tuple[float, float]:
    """Busy and all seconds of a line of /proc/stat."""
    user, nice, system, idle, iowait, irq, softirq, steal = fields
    busy = user + nice + system + irq + softirq + steal
    ticks = os.sysconf("SC_CLK_TCK")
    return busy / ticks, (busy + idle + iowait) / ticks


@dataclass(frozen=True)
class Usage:
    """Shares of 1: `core` of the generators' core, `neighbours` of the whole machine. `cpu_s` by part of the run; one
    that others belong to, as the generators to the gate, counts theirs too.
    """

    core: float
    neighbours: float
    cpu_s: Mapping[str, float]


def usage(before: Reading, after: Reading) -> Usage:
    """ValueError for two readings of the same moment."""
    core_busy, core_all = (b - a for a, b in zip(before.core_s, after.core_s, strict=True))
    busy, whole = (b - a for a, b in zip(before.machine_s, after.machine_s, strict=True))
    if core_all <= 0 or whole <= 0:
        raise ValueError("no time has passed between the two readings")
    by_part = {name: cpu_between(before.own_s.get(name, {}), used) for name, used in after.own_s.items()}
    own = cpu_between(together(before.own_s), together(after.own_s))
    return Usage(core_busy / core_all, max(0.0, busy - own) / whole, by_part)


def together(own_s: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Each process once, whatever parts it belongs to."""
    return {process: seconds for used in own_s.values() for process, seconds in used.items()}
