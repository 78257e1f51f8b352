"""When Python's collector of cycles looks at everything that lives: seldom, since the whole process waits for it.

Thousands of open connections and kept answers are hundreds of thousands of objects. With 5,000 people connected a full
collection took 80 to 140 ms every ten seconds, found nothing, and all who asked meanwhile waited for it.
"""

import asyncio
import gc
import time
from typing import Final

_FREEZE_EVERY_S: Final = 1.0
_COLLECT_EVERY_S: Final = 3600.0


async def seldom(*, freeze_every_s: float = _FREEZE_EVERY_S, collect_every_s: float = _COLLECT_EVERY_S) -> None:
    """Until cancelled. What has lived for a second is set aside, at no cost whatever its number, and looked at once an
    hour: that finds the cycles that errors leave behind. Short-lived ones are found as always.
    """
    due = time.monotonic() + collect_every_s
    while True:
        await asyncio.sleep(freeze_every_s)
        if time.monotonic() >= due:
            gc.unfreeze()
            gc.collect()
            due = time.monotonic() + collect_every_s
        gc.freeze()
