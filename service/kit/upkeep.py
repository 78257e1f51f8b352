"""What a process does beside answering: hears of dead tokens and new keys, and removes rows that have expired."""

import asyncio
import contextlib
import time
from typing import Final

import structlog

from service.kit.cancellation import within
from service.kit.db import DIRECTORY, Database
from service.kit.idempotency import KEPT
from service.kit.keys import KeyFolder
from service.kit.problems import Unavailable
from service.kit.revocations import Revocations

_PURGE_EVERY_S: Final = 600.0
# Any number that nothing else locks: one process purges at a time.
_PURGE_LOCK: Final = 7_311_905_112

log = structlog.get_logger()


async def listen(revocations: Revocations, folder: KeyFolder, every_s: float) -> None:
    """Until cancelled. While the database is gone tokens go on being checked against what is known."""
    behind = False
    while True:
        begun = time.monotonic()
        try:
            await within(every_s, revocations.refresh())
            if behind:
                log.info("revocations are read again")
            behind = False
        except (Unavailable, TimeoutError) as error:
            if not behind:
                log.warning("revocations cannot be read", exc_info=error)
            behind = True
        except Exception as error:
            log.exception("revocations cannot be read", exc_info=error)
        revocations.forget_expired(time.time())
        folder.reload()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, every_s - (time.monotonic() - begun))):
                await revocations.nudged.wait()
        revocations.nudged.clear()


async def purge(db: Database) -> None:
    """Until cancelled."""
    while True:
        try:
            async with db.write(DIRECTORY) as session:
                locked = await session.row("SELECT pg_try_advisory_xact_lock(%s)", (_PURGE_LOCK,))
                if locked is not None and locked[0]:
                    await session.execute("DELETE FROM idempotency_keys WHERE created_at < now() - %s", (KEPT,))
                    await session.execute("DELETE FROM revocations WHERE expires_at < now()")
        except Exception as error:
            log.warning("expired rows were not removed", exc_info=error)
        await asyncio.sleep(_PURGE_EVERY_S)
