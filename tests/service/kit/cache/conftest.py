"""A real Valkey, and the service in this process with its cache on."""

from collections.abc import AsyncIterator, Iterator

import pytest

from service.settings import Settings
from tests.support.client import Client, running
from tests.support.outage import changed
from tests.support.valkey import ValkeyServer, started
from tests.support.wait import until


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with started() as server:
        yield server


@pytest.fixture
def cached_settings(settings: Settings, valkey: ValkeyServer) -> Settings:
    # What a test before knew of users with the same numbers means nothing in another database.
    valkey.ask("FLUSHALL")
    return changed(settings, valkey={"url": valkey.url, "budget_s": 0.5})


@pytest.fixture
async def cached(cached_settings: Settings) -> AsyncIterator[Client]:
    async with running(cached_settings) as client:
        await here(client)
        yield client


async def here(client: Client) -> None:
    async def live() -> bool:
        return client.parts.store.on

    await until(live, "Valkey is reached")
