"""Waiting for a condition, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_PAUSE_S = 0.02


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 30.0) -> float:
    """Seconds until it held; fails the test when it does not within the bound."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(_PAUSE_S)
    return time.monotonic() - begun


async def until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 30.0) -> float:
    """The same for a condition that has to be awaited."""
    begun = time.monotonic()
    while not await condition():
        if time.monotonic() - begun > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(_PAUSE_S)
    return time.monotonic() - begun
