"""What the tests of the service share beside the client."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.app import create_api
from service.settings import Database, Settings, Tokens
from tests.support.client import Client, running
from tests.support.document import Document
from tests.support.postgres import Postgres
from tests.support.server import Server, serving

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def openapi_document() -> dict[str, Any]:
    return create_api(Settings(database=Database(url=SecretStr("postgresql://")))).openapi()


@pytest.fixture
async def documented(client: Client, openapi_document: dict[str, Any]) -> AsyncIterator[Document]:
    """Fails the test when ``client`` gets an answer that the OpenAPI document does not describe."""
    with _watched(client, openapi_document) as document:
        yield document


@pytest.fixture(scope="module")
async def process(postgres: Postgres, template: str, token_folder: Path) -> AsyncIterator[Client]:
    name = f"shared_{next(_NUMBERS)}"
    postgres.create(name, template)
    settings = Settings.model_validate(
        {
            "database": postgres.settings(name),
            "tokens": Tokens(folder=token_folder),
            "passwords": {"memory_kib": 8, "passes": 1},
            "limits": {"on": False},
        }
    )
    async with running(settings) as client:
        yield client
    postgres.drop(name)


@pytest.fixture
async def shared(process: Client, openapi_document: dict[str, Any]) -> AsyncIterator[Client]:
    """One service for a module whose tests do not mind each other's rows, held against the OpenAPI document.

    Not in one module with ``client``: a process has one set of gauges.
    """
    with _watched(process, openapi_document):
        yield process


@pytest.fixture(scope="module")
def server(postgres: Postgres, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service as a process, for a module; it lets go of slow clients after seconds, so that a test can see it."""
    name = f"served_{next(_NUMBERS)}"
    postgres.create(name, template)
    env = {"TASKS_HTTP_DEADLINE_S": "1.5", "TASKS_HTTP_KEEP_ALIVE_S": "2"}
    with serving(postgres.settings(name), tmp_path_factory.mktemp("server"), env) as server:
        yield server
    postgres.drop(name)


@contextmanager
def _watched(client: Client, openapi_document: dict[str, Any]) -> Iterator[Document]:
    document = Document(openapi_document)
    client.http.event_hooks = {"response": [document.check]}
    yield document
    assert document.faults == []
