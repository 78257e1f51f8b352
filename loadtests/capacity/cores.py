"""Which core measures and which is measured, on a machine that has two or more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loadtests.servers import process_tree


@contextmanager
def apart() -> Iterator[int | None]:
    """Keeps this process and all that it starts to the other cores; yields the first core, which is left to the server
    that is measured. None on a machine with one core, where nothing can be kept apart.

    Without it the generator and the database take turns with the server on its core, and a server at 80 % of a core
    waits as if it were at more.
    """
    before = os.sched_getaffinity(0)
    first, *others = sorted(before)
    if not others:
        yield None
        return
    os.sched_setaffinity(0, others)
    try:
        yield first
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, core: int) -> None:
    """Every thread of the process and of its children; threads that start later inherit it."""
    for process in process_tree(pid):
        with suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError):  # it ended meanwhile
                    os.sched_setaffinity(int(thread.name), {core})
