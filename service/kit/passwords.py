"""argon2id off the event loop: a burst of logins waits for itself and for nobody else."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.kit.problems import Unavailable
from service.settings import Passwords as PasswordSettings

T = TypeVar("T")

_NICENESS = 10


class Passwords:
    """Raises :class:`Unavailable` once ``queue`` calls wait: beyond that a caller would only time out."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.passes, memory_cost=settings.memory_kib, parallelism=1, hash_len=32, salt_len=16
        )
        self._threads = ThreadPoolExecutor(settings.threads, "argon2", initializer=_be_nice)
        self._limit = settings.queue + settings.threads
        self._waiting = 0
        # What an unknown e-mail is compared with, so that it costs what a known one costs.
        self._nobody = self._hasher.hash("no password has this hash")

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """False for a wrong password; for ``None`` too, after the same work."""
        return await self._run(lambda: self._matches(stored or self._nobody, password)) and stored is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._limit:
            raise Unavailable
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _be_nice() -> None:
    """On Linux niceness belongs to a thread: hashing yields to the event loop when cores are short."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
