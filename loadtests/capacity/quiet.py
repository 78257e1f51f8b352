"""Neighbours on the machine: awaited to be calm for a while before each step, and seen during it."""

import os
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from loadtests.servers import cpu_between, cpu_by_process, machine_busy

# Of the machine; more than this takes turns with what is measured.
CALM = 0.10
_LOOK_S = 0.25

T = TypeVar("T")


def await_calm(limit_s: float) -> None:
    """Returns when the machine is calm, or after `limit_s` at the latest; what is under test must be idle."""
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        if seen_during(lambda: time.sleep(_LOOK_S))[1] <= CALM:
            return


def seen_during(action: Callable[[], T]) -> tuple[T, float]:
    """What the action gave, and the share of the machine that was used meanwhile by others than this process, its
    children and those of them that ended.
    """
    ours, ended, machine, start = cpu_by_process(os.getpid()), _ended_s(), machine_busy(), time.monotonic()
    given = action()
    elapsed, busy = time.monotonic() - start, machine_busy() - machine
    used = cpu_between(ours, cpu_by_process(os.getpid())) + _ended_s() - ended
    return given, max(0.0, busy - used) / elapsed / (os.cpu_count() or 1)


def _ended_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
