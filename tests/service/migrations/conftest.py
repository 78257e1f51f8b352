"""Databases to migrate."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from service.migrations.door import migrate
from service.settings import Database
from tests.support.schema import connected

_USERS, _TASKS_EACH = 400, 50


@pytest.fixture
def empty(make_database: Callable[..., Database]) -> Database:
    return make_database()


@pytest.fixture
def old(empty: Database) -> Database:
    """At 0001, with the rows of a service that has been used."""
    migrate(empty, "0001")
    with connected(empty) as sql:
        sql.execute(
            """
            INSERT INTO users (email, name, password_hash, created_at)
            SELECT 'old' || n || '@example.com', 'User ' || n, 'x', now() - n * interval '1 hour'
            FROM generate_series(1, %(users)s) AS n
            """,
            {"users": _USERS},
        )
        sql.execute(
            """
            INSERT INTO tasks (title, description, status, user_id, created_at)
            SELECT 'Task ' || n, CASE WHEN n %% 3 = 0 THEN 'text' END,
                   (ARRAY['PENDING', 'IN_PROGRESS', 'COMPLETED'])[1 + n %% 3], u.id, now() - n * interval '1 minute'
            FROM users AS u, generate_series(1, %(each)s) AS n
            """,
            {"each": _TASKS_EACH},
        )
        sql.execute("INSERT INTO preferences SELECT id, 'dark', false, 50 FROM users WHERE id % 7 = 0")
        sql.execute("ANALYZE")
    return empty


@pytest.fixture
def bystander(old: Database) -> Iterator[psycopg.Connection]:
    """A transaction that began before: CREATE INDEX CONCURRENTLY waits for it to end, and it blocks nobody else."""
    with psycopg.connect(old.url.get_secret_value()) as connection:
        connection.execute("INSERT INTO tasks (title, user_id) VALUES ('Not yet', 1)")
        yield connection
