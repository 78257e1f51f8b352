"""Brings a database to a revision: one migrator at a time, rerunnable after a failure, never from a serving process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from service.settings import Database

_LOCK: Final = 7_311_905_111
_LONGEST_WAIT_S: Final = 60.0


class MigrationError(Exception):
    """The message says what went wrong; what was applied before stays, and running again goes on from there."""


def migrate(settings: Database, target: str, told: Callable[[str], None] = lambda _: None) -> list[str]:
    """The steps that were applied, oldest first, each told as it ends; none when the database is there already."""
    config = _config()
    steps: list[str] = []

    def on_step(*, step: Any, **_: Any) -> None:
        steps.append(f"{step.up_revision_id}: {step.up_revision.doc}")
        told(steps[-1])

    config.attributes["on_step"] = on_step
    engine = sa.create_engine(
        sa.make_url(settings.url.get_secret_value()).set(drivername="postgresql+psycopg"),
        poolclass=sa.NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_s,
            "application_name": "tasks-migrate",
            # Waiting for a lock also makes everybody behind wait: better to fail and be run again.
            "options": "-c lock_timeout=5s -c statement_timeout=0 -c timezone=UTC",
        },
    )
    try:
        _check(config, target)
        with engine.connect() as connection:
            _wait_for_turn(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    except CommandError as error:
        raise MigrationError(str(error)) from error
    except SQLAlchemyError as error:
        raise MigrationError(_reason(error)) from error
    finally:
        engine.dispose()
    return steps


def head() -> str:
    """The newest revision."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:  # pragma: no cover
        raise MigrationError("there is no revision")
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _check(config: Config, target: str) -> None:
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if target not in (*known, "head"):
        raise MigrationError(f"{target} is not a revision; there are {', '.join(sorted(known))} and head")


def _reason(error: SQLAlchemyError) -> str:
    """PostgreSQL's own words in one line; what SQLAlchemy says about a lost connection comes behind them."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, psycopg.Error):
        cause = getattr(cause, "orig", None) or cause.__context__
    if cause is None:
        return f"a step failed: {error}"
    words = " ".join(str(cause).split())
    # Without a SQLSTATE the driver speaks, of a connection that broke or never was.
    is_away = isinstance(cause, psycopg.OperationalError) and (cause.sqlstate or "08").startswith(("08", "57P"))
    return f"the database does not answer: {words}" if is_away else f"a step failed: {words}"


def _wait_for_turn(connection: sa.Connection) -> None:
    """Asks again and again instead of waiting in the server: CREATE INDEX CONCURRENTLY waits for every statement that
    runs, and a migrator that waits for its turn in one would hold up the migrator that has it.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK))):
        connection.commit()
        if time.monotonic() > deadline:
            raise MigrationError("another migration has been running for a minute; try again when it is done")
        time.sleep(0.2)
    connection.commit()
