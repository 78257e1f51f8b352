"""Long-lived objects are set aside, and cycles among them are still found, if late."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from service.kit.garbage import seldom
from tests.support.wait import until


class Cycle:
    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def frozen(least: int) -> bool:
    return gc.get_freeze_count() > least


async def test_what_lives_is_set_aside_and_its_cycles_are_found_later() -> None:
    gc.unfreeze()
    kept = Cycle()
    alive = weakref.ref(kept)
    work = asyncio.create_task(seldom(freeze_every_s=0.01, collect_every_s=3600))
    await until(lambda: frozen(1_000), "everything is set aside")
    del kept
    gc.collect()
    assert alive() is not None, "a full collection does not look at it"
    work.cancel()
    work = asyncio.create_task(seldom(freeze_every_s=0.01, collect_every_s=0.05))

    async def gone() -> bool:
        return alive() is None

    await until(gone, "the cycle is found")
    work.cancel()
