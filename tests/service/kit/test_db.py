"""What the sessions tell of themselves. That they work is what every test of a room shows."""

from prometheus_client import REGISTRY

from service.kit.db import DIRECTORY, Database
from service.settings import Database as DatabaseSettings

STATEMENTS, WAITS = "db_client_operation_duration_seconds", "db_client_connection_wait_time_seconds"


def seen(name: str, pool: str) -> float:
    return REGISTRY.get_sample_value(f"{name}_count", {"db_client_connection_pool_name": pool}) or 0.0


async def test_every_statement_is_counted_and_every_wait_for_a_connection(database: DatabaseSettings) -> None:
    two = Database(database)
    names = [(name, pool) for name in (STATEMENTS, WAITS) for pool in ("read", "write")]
    before = [seen(*name) for name in names]
    try:
        await two.read(DIRECTORY).row("SELECT 1")
        async with two.write(DIRECTORY) as session:  # a transaction keeps the connection that it was given
            await session.rows("SELECT 1")
            await session.rows("SELECT 2")
    finally:
        await two.close()
    assert [seen(*name) - was for name, was in zip(names, before, strict=True)] == [1, 2, 1, 1]
