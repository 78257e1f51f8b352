"""Which core measures and which is measured, on a machine that has two or more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from loadtests.gate.machine import pinned


@contextmanager
def apart() -> Iterator[int | None]:
    """Keeps this process and all that it starts to the other cores; yields the first core, which is left to the server
    that is measured. None on a machine with one core, where nothing can be kept apart.

    Without it the generator and the database take turns with the server on its core, and a server at 80 % of a core
    waits as if it were at more.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        yield None
        return
    with pinned(frozenset(others)):
        yield first
