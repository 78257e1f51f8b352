"""Real PostgreSQL for every test that wants one: a server a session, a migrated template, a fresh copy a test."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from service.migrations.door import migrate
from service.settings import Database, Settings, Tokens
from tests.support.client import Client, running
from tests.support.postgres import Postgres, started

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with started() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a database at head, which nobody connects to: PostgreSQL copies only such."""
    name = "template_head"
    postgres.create(name)
    migrate(postgres.settings(name), "head")
    return name


@pytest.fixture
def make_database(postgres: Postgres) -> Iterator[Callable[..., Database]]:
    """Makes databases: a copy of ``template``, or an empty one without it. They are dropped after the test."""
    made: list[str] = []

    def make(template: str | None = None) -> Database:
        name = f"test_{next(_NUMBERS)}"
        postgres.create(name, template)
        made.append(name)
        return postgres.settings(name)

    yield make
    for name in made:
        postgres.drop(name)


@pytest.fixture
def database(make_database: Callable[..., Database], template: str) -> Database:
    return make_database(template)


@pytest.fixture(scope="session")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signing keys are made once; databases differ, so a token of one test means nothing in another."""
    return tmp_path_factory.mktemp("tokens") / "keys"


@pytest.fixture
def settings(database: Database, token_folder: Path) -> Settings:
    """The defaults of production, but a hash that costs a test nothing."""
    return Settings.model_validate(
        {
            "database": database,
            "tokens": Tokens(folder=token_folder),
            "passwords": {"memory_kib": 8, "passes": 1},
            # One test asks more often than any client may; tests of the limits switch them on.
            "limits": {"on": False},
        }
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """The whole service in this process, from the outermost layer inwards, on a fresh database."""
    async with running(settings) as client:
        yield client


@pytest.fixture
def sql(settings: Settings) -> Iterator[psycopg.Connection]:
    """The test's own eyes and hands in the database of ``client``."""
    with psycopg.connect(settings.database.url.get_secret_value(), autocommit=True) as connection:
        yield connection
