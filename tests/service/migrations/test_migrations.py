"""Every revision on a database with rows, while it is used, and when it fails half-way."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from psycopg.sql import SQL, Identifier

from service.__main__ import main
from service.kit.db import ReadSession, Row, UserId
from service.kit.pool import Pool
from service.migrations import door
from service.migrations.door import MigrationError, migrate
from service.settings import Database
from service.tasks import repository as tasks
from service.users import repository as users
from tests.support.net import free_port
from tests.support.schema import OF_THE_LISTS, building, connected, indexes
from tests.support.wait import wait_until


def fingerprint(database: Database) -> list[Any]:
    """Of all rows: their number and a hash of what is in them."""
    query = SQL("SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} AS t")
    with connected(database) as sql:
        return [sql.execute(query.format(Identifier(table))).fetchone() for table in ("users", "tasks", "preferences")]


def revision(database: Database) -> list[str]:
    with connected(database) as sql:
        return [row[0] for row in sql.execute("SELECT version_num FROM alembic_version").fetchall()]


def down(database: Database, target: str) -> None:
    """What the door does not offer: a released schema goes forward only. A revision must still know its way back."""
    config = door._config()
    config.attributes["on_step"] = lambda **_: None
    url = sa.make_url(database.url.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, target)
    engine.dispose()


def test_the_first_revision_has_the_old_backends_indexes_and_no_other(old: Database) -> None:
    assert indexes(old) == {"users_pkey", "users_email_key", "tasks_pkey"}
    with connected(old) as sql:
        found = sql.execute(
            """
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid IN ('users'::regclass, 'tasks'::regclass) AND contype IN ('p', 'u', 'f')
            """
        ).fetchall()
    assert dict(found) == {
        "users_pkey": "PRIMARY KEY (id)",
        "users_email_key": "UNIQUE (email)",
        "tasks_pkey": "PRIMARY KEY (id)",
        "tasks_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
    }


def test_rows_outlive_every_step_up_and_down(old: Database) -> None:
    before = fingerprint(old)
    for _ in range(2):
        [step] = migrate(old, "head")
        assert step.startswith("0002: ")
        assert indexes(old) >= OF_THE_LISTS
        assert migrate(old, "head") == []
        assert fingerprint(old) == before
        down(old, "0001")
        assert indexes(old) == {"users_pkey", "users_email_key", "tasks_pkey"}
        assert fingerprint(old) == before
    down(old, "base")
    with connected(old) as sql:
        assert sql.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall() == [
            ("alembic_version",),
            ("alembic_version_pkc",),
        ]
    assert len(migrate(old, "head")) == 2


class Explained(ReadSession):
    """Notes how PostgreSQL would run each query that is asked: kinds of nodes and names of indexes."""

    def __init__(self, database: Database) -> None:
        super().__init__(Pool("", name="none", size=1, timeout_s=1, autocommit=True))
        self._database = database
        self.plan: set[str] = set()

    async def rows(self, query: LiteralString, parameters: Sequence[Any] = ()) -> list[Row]:
        with connected(self._database) as sql:
            [[[plan]]] = sql.execute("EXPLAIN (FORMAT JSON) " + query, parameters).fetchall()
            self._note(plan["Plan"])
            return sql.execute(query, parameters).fetchall()

    def _note(self, node: dict[str, Any]) -> None:
        self.plan |= {node["Node Type"], node.get("Index Name", "")}
        for child in node.get("Plans", ()):
            self._note(child)


async def test_the_lists_use_the_indexes_of_the_second_revision(old: Database) -> None:
    owner = UserId(7)
    slow = Explained(old)
    await tasks.page(slow, owner, status=None, q="", sort="-createdAt", limit=10, offset=0)
    assert slow.plan >= {"Seq Scan", "Sort"}

    migrate(old, "head")
    for status, index in ((None, "tasks_owner_newest_idx"), ("PENDING", "tasks_owner_status_newest_idx")):
        page, walk = Explained(old), Explained(old)
        _, found = await tasks.page(page, owner, status=status, q="", sort="-createdAt", limit=10, offset=0)
        position = (found[-1].created_at.isoformat(), found[-1].id)
        await tasks.after(walk, owner, status=status, q="", sort="-createdAt", limit=10, position=position)
        for session in (page, walk):
            assert index in session.plan
            assert "Seq Scan" not in session.plan

    directory = Explained(old)
    await users.page(directory, limit=10, offset=0)
    assert "users_newest_idx" in directory.plan
    assert "Sort" not in directory.plan


def test_of_two_migrators_one_does_it_and_the_other_waits(empty: Database) -> None:
    start = threading.Barrier(2)

    def run() -> list[str]:
        start.wait(10)
        return migrate(empty, "head")

    with ThreadPoolExecutor(2) as threads:
        done = [future.result(60) for future in [threads.submit(run), threads.submit(run)]]
    assert sorted(len(steps) for steps in done) == [0, 2]
    assert indexes(empty) >= OF_THE_LISTS


@pytest.mark.parametrize("fault", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_migration_that_fails_midway_is_run_again(old: Database, bystander: psycopg.Connection, fault: str) -> None:
    before = fingerprint(old)
    with ThreadPoolExecutor(1) as thread:
        failing = thread.submit(migrate, old, "head")
        wait_until(lambda: building(old) is not None, "an index is being built")
        with connected(old) as sql:
            sql.execute(f"SELECT {fault}(%s)".encode(), (building(old),))
        with pytest.raises(MigrationError) as refused:
            failing.result(30)
    assert "\n" not in str(refused.value)
    assert ("does not answer" in str(refused.value)) == (fault == "pg_terminate_backend")
    bystander.rollback()
    assert indexes(old, valid=False) == {"tasks_owner_newest_idx"}
    assert revision(old) == ["0001"]

    assert len(migrate(old, "head")) == 1
    assert indexes(old, valid=False) == set()
    assert indexes(old) >= OF_THE_LISTS
    assert fingerprint(old) == before


def test_a_step_that_cannot_be_taken_leaves_nothing(empty: Database) -> None:
    with connected(empty) as sql:
        sql.execute("CREATE TABLE tasks ()")
    with pytest.raises(MigrationError, match="a step failed") as refused:
        migrate(empty, "head")
    assert "\n" not in str(refused.value)
    with connected(empty) as sql:
        assert sql.execute("SELECT to_regclass('users')").fetchone() == (None,)
        sql.execute("DROP TABLE tasks")
    assert len(migrate(empty, "head")) == 2


def test_an_unknown_revision_is_one_line_that_lists_the_known(
    empty: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", empty.url.get_secret_value())
    assert main(["migrate", "--to", "0099"]) == 1
    told = capsys.readouterr()
    assert told.err == "service: 0099 is not a revision; there are 0001, 0002 and head\n"
    assert told.out == ""


def test_a_database_that_is_away_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", f"postgresql://someone:secret@127.0.0.1:{free_port()}/tasks")
    assert main(["migrate"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("service: the database does not answer")
    assert "secret" not in line
