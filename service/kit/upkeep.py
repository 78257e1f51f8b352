"""What a process does beside answering: hears of dead tokens and new keys, and removes rows that have expired."""

import asyncio
import time
from typing import Final

import sqlalchemy as sa
import structlog

from service.kit.db import DIRECTORY, Database
from service.kit.idempotency import KEPT, StoredAnswer
from service.kit.keys import KeyFolder
from service.kit.problems import Unavailable
from service.kit.revocations import Revocation, Revocations

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
            async with asyncio.timeout(every_s):
                await revocations.refresh()
            if behind:
                log.info("revocations are read again")
            behind = False
        except (Unavailable, TimeoutError) as error:
            if not behind:
                log.warning("revocations cannot be read", exc_info=error)
            behind = True
        except Exception as error:  # noqa: BLE001 (a listener that ends would let dead tokens live)
            log.error("revocations cannot be read", exc_info=error)
        revocations.forget_expired(time.time())
        folder.reload()
        await asyncio.sleep(max(0.0, every_s - (time.monotonic() - begun)))


async def purge(db: Database) -> None:
    """Until cancelled."""
    while True:
        try:
            async with db.write(DIRECTORY) as session:
                locked = await session.first(sa.select(sa.func.pg_try_advisory_xact_lock(_PURGE_LOCK)))
                if locked is not None and locked[0]:
                    await session.execute(sa.delete(StoredAnswer).where(StoredAnswer.created_at < sa.func.now() - KEPT))
                    await session.execute(sa.delete(Revocation).where(Revocation.expires_at < sa.func.now()))
        except Exception as error:  # noqa: BLE001 (tried again at the next turn)
            log.warning("expired rows were not removed", exc_info=error)
        await asyncio.sleep(_PURGE_EVERY_S)
