"""Ending work that may wait for a hung server.

psycopg answers a first cancel politely: it asks the server to stop, then waits for it, up to 10 s in all (psycopg
#1371). A second cancel makes it give the connection up at once (#1435), and with it the place in the pool.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

# A healthy server stops a statement within milliseconds, and the connection stays good.
_GRACE_S: Final = 0.5


def give_up(task: asyncio.Task[Any]) -> asyncio.TimerHandle:
    """Cancels now, and once more after a grace; who gives up its own task cancels the handle when it is done."""
    task.cancel()
    return asyncio.get_running_loop().call_later(_GRACE_S, task.cancel)


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Raises TimeoutError at the bound, where ``asyncio.timeout`` would wait for the cancelled work to clean up."""
    task = asyncio.create_task(work)
    task.add_done_callback(_retrieve)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        give_up(task)
        raise
    if not done:
        give_up(task)
        raise TimeoutError
    return task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """What fails after the bound has been told about already."""
    if not task.cancelled():
        task.exception()
